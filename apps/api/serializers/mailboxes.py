"""Mailboxes, as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import StrictSerializer, TextField
from apps.mailboxes.models import MailboxKind


class MailboxChangeSerializer(StrictSerializer):
    """What to change; what is not named stays."""

    reply_tokens = serializers.BooleanField(required=False)


class NewAliasSerializer(StrictSerializer):
    address = TextField(max_length=320, help_text="In a domain that is verified.")


class AliasSerializer(serializers.Serializer[Any]):
    """A further address of a mailbox: mail to it comes in there, and may be written from it."""

    id = serializers.UUIDField()
    address = serializers.CharField()


class MailboxSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    address = serializers.CharField()
    kind = serializers.ChoiceField(choices=MailboxKind.choices)
    aliases = AliasSerializer(many=True)
    reply_tokens = serializers.BooleanField(
        help_text="Its answers in tickets ask to be answered at `name+t.TOKEN@…`, which leads home even where "
        "the customer’s program drops References."
    )
