"""Rows about bytes. The bytes themselves rest in S3; until they are there, they stand in the spool."""

from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.organisations.models import Organisation, TenantRow

# How long whoever staged bytes may still put them, or put them again, after nobody needed them.
COPY_AGE = timedelta(minutes=10)
OBJECT_PREFIX = "blobs/"
PACK_PREFIX = "packs/"


class Pack(TenantRow):
    """An object in S3 that holds several small contents of one organisation, end to end. It never changes.

    What of its bytes no blob refers to is a hole: nobody's bytes, which go when the others move to another pack.
    """

    size_bytes = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def object_key(self) -> str:
        return f"{PACK_PREFIX}{self.pk}"

    @property
    def settles_at(self) -> datetime:
        """From when on nobody puts into it any more, so that it may be written anew."""
        return self.created_at + COPY_AGE


class Blob(TenantRow):
    """Some bytes, once per organisation and content. In S3 they lie in a pack, or in an object of their own."""

    # Spared here: whoever asks for an organisation's is served by the constraint's index.
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+", db_index=False)
    sha256 = models.BinaryField(max_length=32)
    size_bytes = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    stored_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When the bytes reached S3; null while they are in the spool only")
    )
    pack = models.ForeignKey(
        Pack,
        null=True,
        blank=True,
        on_delete=models.RESTRICT,
        related_name="blobs",
        db_index=False,
        help_text=_("Null for an object of its own, and while they are in the spool only"),
    )
    pack_offset = models.BigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "sha256"], name="blob_once_per_organisation"),
            models.CheckConstraint(
                name="blob_place_in_pack",
                condition=models.Q(pack__isnull=True, pack_offset__isnull=True)
                | models.Q(pack__isnull=False, pack_offset__isnull=False, stored_at__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["pack"], name="blob_pack", condition=models.Q(pack__isnull=False))]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def object_key(self) -> str:
        """The object that has the bytes: the pack's, or the blob's own."""
        return f"{OBJECT_PREFIX}{self.pk}" if self.pack_id is None else f"{PACK_PREFIX}{self.pack_id}"

    @property
    def hex_digest(self) -> str:
        return bytes(self.sha256).hex()


# For statements of who reads a blob's row beside another.
BLOB_COLUMNS = [
    "id",
    "organisation_id",
    "sha256",
    "size_bytes",
    "created_at",
    "stored_at",
    "pack_id",
    "pack_offset",
]


class SpooledBytes(models.Model):
    """Bytes that were committed together with their meaning and wait to be moved to S3."""

    blob = models.OneToOneField(Blob, primary_key=True, on_delete=models.CASCADE, related_name="spooled")
    content = models.BinaryField()

    def __str__(self) -> str:
        return str(self.pk)


class OutOfTime(models.TextChoices):
    """That a small picture was not made in time, so often. The last one is final."""

    ONCE = "took_too_long", _("took too long")
    TWICE = "took_too_long_twice", _("took too long twice")
    THRICE = "took_too_long_thrice", _("took too long thrice")

    @property
    def next(self) -> "OutOfTime":
        return OutOfTime.TWICE if self == OutOfTime.ONCE else OutOfTime.THRICE


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
    # When it was last tried to make it.
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

    @property
    def is_refused_for_good(self) -> bool:
        """Whether there is none, and never will be: a machine that had too much to do may have less the next time."""
        return bool(self.refused_because) and self.refused_because not in {OutOfTime.ONCE, OutOfTime.TWICE}


class DiscardedObject(models.Model):
    """Bytes that no row needs, until S3 has deleted them. `id` is the one that their blob had, or would have had.

    With a `pack_id` they are a hole in that pack; a pack whose holes belong to no blob stands for itself.
    """

    id = models.UUIDField(primary_key=True)
    pack_id = models.UUIDField(null=True, blank=True, db_index=True)
    delete_after = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return str(self.pk)
