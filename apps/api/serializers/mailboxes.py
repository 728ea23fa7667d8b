"""Mailboxes, as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.mailboxes.models import MailboxKind


class MailboxSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    address = serializers.CharField()
    kind = serializers.ChoiceField(choices=MailboxKind.choices)
