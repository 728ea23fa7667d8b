"""Limits, as they are asked for and answered."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import StrictSerializer, TextField
from apps.outbound.limits.services import MOST, MOST_OF_OTHERS
from apps.outbound.models import EACH, LimitScope


class StrictInteger(serializers.IntegerField):
    """A JSON number without a fraction; no string that looks like one, and no true."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


def bound(name: str, help_text: str) -> StrictInteger:
    most = MOST.get(name, MOST_OF_OTHERS)
    return StrictInteger(
        required=False, allow_null=True, min_value=1, max_value=most, help_text=f"{help_text} Null: no bound."
    )


class _Bounds(StrictSerializer):
    connections = bound("connections", "Open at the same time.")
    per_second = bound("per_second", "Messages begun in any second.")
    per_minute = bound("per_minute", "Messages in any minute.")
    per_hour = bound("per_hour", "Messages in any hour.")
    per_day = bound("per_day", "Messages in any 24 hours.")
    gap_ms = bound("gap_ms", "At least so many milliseconds from one message's beginning to the next one's.")
    recipients_per_transaction = bound("recipients_per_transaction", "We send one recipient at a time.")
    max_size_bytes = bound("max_size_bytes", "Of one message.")


class LimitChangeSerializer(_Bounds):
    """The bounds to change; what is left out stays."""


class NewLimitSerializer(_Bounds):
    """At least one bound. It counts your organisation's mail alone."""

    scope = serializers.ChoiceField(choices=LimitScope.choices)
    subject = TextField(
        required=False,
        default=EACH,
        max_length=254,
        help_text='A relay\'s id, an address or a domain; "*" is each that has no limit of its own.',
    )


class PaceSerializer(serializers.Serializer[Any]):
    """How a provider's own limit slows us down."""

    paused_until = serializers.DateTimeField(allow_null=True)
    because = serializers.CharField()
    per_minute = serializers.FloatField(allow_null=True)
    connections = serializers.IntegerField(allow_null=True)


class UseSerializer(serializers.Serializer[Any]):
    """How much is used now."""

    in_flight = serializers.IntegerField()
    windows = serializers.DictField(child=serializers.IntegerField())
    pace = PaceSerializer(allow_null=True)


class LimitSerializer(serializers.Serializer[Any]):
    """A limit. What waits for it has the cause `sender_limit`, `relay_limit`, `destination_limit` or
    `organisation_limit`.
    """

    id = serializers.UUIDField()
    scope = serializers.ChoiceField(choices=LimitScope.choices)
    subject = serializers.CharField()
    for_everybody = serializers.BooleanField(
        help_text="It counts all organisations' mail together, and only the operator changes it."
    )
    connections = serializers.IntegerField(allow_null=True)
    per_second = serializers.IntegerField(allow_null=True)
    per_minute = serializers.IntegerField(allow_null=True)
    per_hour = serializers.IntegerField(allow_null=True)
    per_day = serializers.IntegerField(allow_null=True)
    gap_ms = serializers.IntegerField(allow_null=True)
    recipients_per_transaction = serializers.IntegerField(allow_null=True)
    max_size_bytes = serializers.IntegerField(allow_null=True)
    used = UseSerializer(
        allow_null=True, help_text='Null for "*", for everybody\'s limits, and while Redis is away.'
    )
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
