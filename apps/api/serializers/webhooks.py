"""Webhooks, as they are asked for and as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import StrictSerializer, TextField
from apps.webhooks.kinds import MAX_KINDS
from apps.webhooks.models import DeliveryState, DisabledBecause

KINDS_HELP = "Kinds of events: `ticket.opened`, all of a family as `ticket.*`, or `*`."


class NewWebhookSerializer(StrictSerializer):
    """Where events of these kinds are to be pushed."""

    url = TextField(max_length=2000, help_text="An https URL on a public address.")
    event_kinds = serializers.ListField(
        child=TextField(max_length=64), min_length=1, max_length=MAX_KINDS, help_text=KINDS_HELP
    )
    description = TextField(required=False, default="", allow_blank=True, max_length=200)


class WebhookChangeSerializer(StrictSerializer):
    """What to change; what is not named stays."""

    url = TextField(max_length=2000, required=False)
    event_kinds = serializers.ListField(
        child=TextField(max_length=64),
        min_length=1,
        max_length=MAX_KINDS,
        required=False,
        help_text=KINDS_HELP,
    )
    description = TextField(required=False, allow_blank=True, max_length=200)
    is_active = serializers.BooleanField(
        required=False, help_text="Switching it on again forgets that it failed."
    )


class WebhookSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    url = serializers.CharField()
    description = serializers.CharField()
    event_kinds = serializers.ListField(child=serializers.CharField())
    is_active = serializers.BooleanField()
    disabled_because = serializers.ChoiceField(choices=DisabledBecause.choices, allow_blank=True)
    disabled_at = serializers.DateTimeField(allow_null=True)
    failing_since = serializers.DateTimeField(
        allow_null=True, help_text="The first failure since the last success."
    )
    created_at = serializers.DateTimeField()


class CreatedWebhookSerializer(WebhookSerializer):
    """With the secret, which is shown this once."""

    secret = serializers.CharField(help_text="`whsec_…`, as Standard Webhooks' libraries take it.")


class WebhookDeliverySerializer(serializers.Serializer[Any]):
    """One event for one webhook. `reason` says in one sentence what went wrong last."""

    id = serializers.UUIDField()
    event = serializers.IntegerField(source="event_id", help_text="`webhook-id` is `evt_` and this number.")
    kind = serializers.CharField(source="event.kind")
    state = serializers.ChoiceField(choices=DeliveryState.choices)
    attempts = serializers.IntegerField()
    next_attempt_at = serializers.DateTimeField(source="due_at", allow_null=True)
    status = serializers.IntegerField(
        source="last_status", allow_null=True, help_text="HTTP status of the last answer; null without one."
    )
    error = serializers.CharField(source="last_error", help_text="A code; clients accept unknown ones.")
    reason = serializers.CharField(source="last_reason")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
