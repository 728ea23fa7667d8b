"""Customers whose data is erased."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import StrictSerializer, TextField
from apps.erasure.models import ErasureState


class NewErasureSerializer(StrictSerializer):
    """Whose data is to be erased. It cannot be undone, so the address is asked for twice."""

    address = TextField(max_length=320)
    confirmation = TextField(max_length=320, help_text="The same address again.")


class ErasureSerializer(serializers.Serializer[Any]):
    """A line of the audit. It tells how much was erased, and never whose."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=ErasureState.choices)
    fingerprint = serializers.CharField(help_text="Of the address, keyed: nobody can tell it from this.")
    requested_by = serializers.CharField(help_text="user:ID, key:ID or operator.")
    requested_by_name = serializers.CharField()
    requested_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="What went. An open list.")
