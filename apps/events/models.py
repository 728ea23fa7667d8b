"""The event log: what happened, in ids only. Addresses, subjects and texts never enter it."""

from django.db import models

from apps.organisations.models import Organisation


class Event(models.Model):
    """One thing that happened. `sequence` is given after the commit by the sequencer, and is what cursors count."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=64)
    message_id = models.UUIDField(null=True, blank=True)
    ticket_id = models.UUIDField(null=True, blank=True)
    delivery_id = models.UUIDField(null=True, blank=True)
    actor = models.CharField(
        max_length=64, blank=True, help_text="user:ID, key:ID, a room that acts by a rule, or empty"
    )
    data = models.JSONField(default=dict, help_text="Codes and ids only")
    created_at = models.DateTimeField(auto_now_add=True)
    sequence = models.BigIntegerField(null=True, blank=True, unique=True)

    class Meta:
        indexes = [
            # Every event is written twice, the second time with its number: each index costs two entries.
            models.Index(
                fields=["message_id", "id"],
                name="event_by_message",
                condition=models.Q(message_id__isnull=False),
            ),
            models.Index(
                fields=["ticket_id", "id"],
                name="event_by_ticket",
                condition=models.Q(ticket_id__isnull=False),
            ),
            models.Index(fields=["id"], name="event_unsequenced", condition=models.Q(sequence__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"


class Cursor(models.Model):
    """How far a named consumer has read."""

    name = models.CharField(primary_key=True, max_length=64)
    sequence = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} at {self.sequence}"
