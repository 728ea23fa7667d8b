"""Mailboxes, as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import StrictSerializer
from apps.mailboxes.models import MailboxKind


class MailboxChangeSerializer(StrictSerializer):
    """What to change; what is not named stays."""

    reply_tokens = serializers.BooleanField(required=False)


class MailboxSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    address = serializers.CharField()
    kind = serializers.ChoiceField(choices=MailboxKind.choices)
    reply_tokens = serializers.BooleanField(
        help_text="Its answers in tickets ask to be answered at `name+t.TOKEN@…`, which leads home even where "
        "the customer’s program drops References."
    )
