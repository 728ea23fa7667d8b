"""The queue's figures and the error queue, as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.outbound.models import DeliveryState, Route


class RelayFigures(serializers.Serializer[Any]):
    relay = serializers.CharField()
    waiting = serializers.IntegerField()
    sent = serializers.IntegerField()


class DestinationFigures(serializers.Serializer[Any]):
    destination = serializers.CharField(help_text="The domain written to.")
    waiting = serializers.IntegerField()


class WorkersSerializer(serializers.Serializer[Any]):
    busy = serializers.IntegerField()
    total = serializers.IntegerField()


class DiagnosisSerializer(serializers.Serializer[Any]):
    """Why mail waits: what it is, how we know, what to do, how many it concerns."""

    cause = serializers.CharField()
    evidence = serializers.CharField()
    action = serializers.CharField()
    affected = serializers.IntegerField()


class QueueSerializer(serializers.Serializer[Any]):
    """The outgoing queue of the caller's mailboxes."""

    depth = serializers.IntegerField(help_text="Recipients still to be sent to.")
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
