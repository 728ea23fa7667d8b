"""Reading the event log back, for whoever asks about one message."""

import uuid

from django.db.models import QuerySet

from apps.events.models import Event


def events_of_message(organisation_id: uuid.UUID, message_id: uuid.UUID) -> QuerySet[Event]:
    """Everything that was published about a message. The caller decides which of it may be shown to whom."""
    return Event.objects.filter(organisation_id=organisation_id, message_id=message_id)
