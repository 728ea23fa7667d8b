"""The queue's figures and the error queue, as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.outbound.models import DeliveryState, Route


class RelayFigures(serializers.Serializer[Any]):
    """Waiting: after this relay was asked. Sent and failed: within the last day."""

    relay = serializers.CharField()
    waiting = serializers.IntegerField()
    sent = serializers.IntegerField()
    failed = serializers.IntegerField()


class DestinationFigures(serializers.Serializer[Any]):
    """A domain that recipients wait for."""

    domain = serializers.CharField()
    depth = serializers.IntegerField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)


class WorkersSerializer(serializers.Serializer[Any]):
    busy = serializers.IntegerField(help_text="Recipients being sent to right now.")
    total = serializers.IntegerField(
        allow_null=True, help_text="Worker processes alive; null while Redis is away."
    )


class DiagnosisSerializer(serializers.Serializer[Any]):
    """Why mail waits: what it is, how we know, what to do, how many it concerns."""

    cause = serializers.CharField()
    evidence = serializers.CharField()
    action = serializers.CharField()
    affected = serializers.IntegerField()


class QueueSerializer(serializers.Serializer[Any]):
    """The outgoing queue of the caller's mailboxes. Finished states are counted over the last day."""

    depth = serializers.IntegerField(
        help_text="Recipients queued, deferred or being sent to; `scheduled` ones are in `by_state` only."
    )
    oldest_due_seconds = serializers.FloatField(
        help_text="For how long the oldest due one has been due; 0 for none."
    )
    by_state = serializers.DictField(child=serializers.IntegerField())
    by_relay = RelayFigures(many=True)
    by_destination = DestinationFigures(many=True)
    workers = WorkersSerializer()
    rates = serializers.DictField(child=serializers.FloatField())
    latency = serializers.DictField(child=serializers.FloatField(allow_null=True))
    diagnosis = DiagnosisSerializer(many=True)


class ErrorSerializer(serializers.Serializer[Any]):
    """A recipient that will not be tried again unless somebody says so."""

    id = serializers.UUIDField()
    message = serializers.UUIDField(source="message_id")
    subject = serializers.CharField(source="message.subject")
    recipient = serializers.CharField()
    state = serializers.ChoiceField(choices=DeliveryState.choices)
    route = serializers.ChoiceField(choices=Route.choices)
    cause = serializers.CharField()
    reason = serializers.CharField()
    attempts_made = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
