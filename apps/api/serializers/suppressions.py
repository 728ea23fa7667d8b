"""Suppressions, as they are asked for and as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import StrictSerializer, TextField
from apps.api.serializers.queries import PageQuery
from apps.outbound.models import SuppressionReason

# What a person or a program may enter: what a server said is ours to find.
ENTERED_BY_HAND = [SuppressionReason.MANUAL, SuppressionReason.UNSUBSCRIBED, SuppressionReason.COMPLAINT]


class SuppressionsQuery(PageQuery):
    q = TextField(required=False, max_length=320, help_text="A part of the address.")
    reason = serializers.ChoiceField(choices=SuppressionReason.choices, required=False)


class NewSuppressionSerializer(StrictSerializer):
    """An address not to be written to any more."""

    address = TextField(max_length=320)
    reason = serializers.ChoiceField(
        choices=[(one.value, one.label) for one in ENTERED_BY_HAND],
        required=False,
        default=SuppressionReason.MANUAL.value,
    )
    evidence = TextField(
        required=False, default="", allow_blank=True, max_length=1000, help_text="Why, in a sentence."
    )
    expires_at = serializers.DateTimeField(
        required=False, default=None, allow_null=True, help_text="Null: it holds until it is removed."
    )


class SuppressionSerializer(serializers.Serializer[Any]):
    """An address that is not written to, and why."""

    id = serializers.UUIDField(source="row.pk")
    address = serializers.CharField(source="row.address")
    reason = serializers.ChoiceField(source="row.reason", choices=SuppressionReason.choices)
    evidence = serializers.CharField(source="row.evidence")
    delivery = serializers.UUIDField(
        source="row.delivery_id", allow_null=True, help_text="Whose failure caused it."
    )
    message = serializers.UUIDField(
        source="row.delivery.message_id", allow_null=True, help_text="The message of that delivery."
    )
    created_at = serializers.DateTimeField(source="row.created_at")
    expires_at = serializers.DateTimeField(source="row.expires_at", allow_null=True)
    in_force = serializers.BooleanField(help_text="False once it has expired.")
