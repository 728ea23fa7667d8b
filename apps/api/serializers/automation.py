"""Rules that act by themselves, and what they did, as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import StrictSerializer, TextField
from apps.automation.models import AcknowledgementState


class AcknowledgementRuleSerializer(serializers.Serializer[Any]):
    """Whether a mailbox acknowledges new tickets, and in what words."""

    mailbox = serializers.UUIDField(source="mailbox_id")
    is_on = serializers.BooleanField()
    on_since = serializers.DateTimeField(
        allow_null=True, help_text="Tickets from before it get no acknowledgement."
    )
    text = serializers.CharField(help_text="`{number}` stands for the ticket's number.")


class AcknowledgementRuleChangeSerializer(StrictSerializer):
    """What to change; what is not named stays."""

    is_on = serializers.BooleanField(required=False)
    text = TextField(required=False, max_length=5000)


class AcknowledgementSerializer(serializers.Serializer[Any]):
    """What became of a ticket's acknowledgement."""

    state = serializers.ChoiceField(choices=AcknowledgementState.choices)
    because = serializers.CharField(
        help_text="Why none was sent, as a code; clients accept unknown ones. Empty unless withheld."
    )
    reason = serializers.CharField(help_text="The same in one sentence.")
    message = serializers.UUIDField(
        source="answer_id", allow_null=True, help_text="The acknowledgement itself."
    )
    decided_at = serializers.DateTimeField(source="finished_at", allow_null=True)
