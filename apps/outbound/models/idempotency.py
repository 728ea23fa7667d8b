"""What repeated requests were answered."""

from django.db import models

from apps.mailboxes.models import Message
from apps.organisations.models import Organisation, new_id


class IdempotencyKey(models.Model):
    """What a submission with this key was answered, so that a repeated request sends nothing twice."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    actor = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    body_digest = models.BinaryField(max_length=32)
    message = models.ForeignKey(Message, null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "actor", "key"], name="idempotency_key_once")
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_age")]

    def __str__(self) -> str:
        return self.key
