"""Rows about bytes. The bytes themselves rest in S3; until they are there, they stand in the spool."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.organisations.models import TenantRow


class Blob(TenantRow):
    """Some bytes, once per organisation and content. Its object in S3 is named by this row's own UUID."""

    sha256 = models.BinaryField(max_length=32)
    size_bytes = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    stored_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When the bytes reached S3; null while they are in the spool only")
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "sha256"], name="blob_once_per_organisation"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def object_key(self) -> str:
        return f"blobs/{self.pk}"

    @property
    def hex_digest(self) -> str:
        return bytes(self.sha256).hex()


# For statements of who reads a blob's row beside another.
BLOB_COLUMNS = ["id", "organisation_id", "sha256", "size_bytes", "created_at", "stored_at"]


class SpooledBytes(models.Model):
    """Bytes that were committed together with their meaning and wait to be moved to S3."""

    blob = models.OneToOneField(Blob, primary_key=True, on_delete=models.CASCADE, related_name="spooled")
    content = models.BinaryField()

    def __str__(self) -> str:
        return str(self.pk)


class Thumbnail(TenantRow):
    """The small picture of a picture, or the reason why there is none. It goes with the content it shows."""

    source = models.OneToOneField(Blob, on_delete=models.CASCADE, related_name="thumbnail")
    image = models.ForeignKey(
        Blob, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text=_("WebP")
    )
    width = models.PositiveSmallIntegerField(default=0)
    height = models.PositiveSmallIntegerField(default=0)
    refused_because = models.CharField(
        max_length=32, blank=True, help_text=_("A code; empty when there is an image")
    )
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="thumbnail_image_or_reason",
                condition=models.Q(image__isnull=False, refused_because="")
                | (models.Q(image__isnull=True) & ~models.Q(refused_because="")),
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)


class DiscardedObject(models.Model):
    """An object that no row needs, until S3 has deleted it. `id` is the one that its blob had, or would have had."""

    id = models.UUIDField(primary_key=True)
    delete_after = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return str(self.pk)
