"""The queue's figures and the error queue, as they are answered."""

from typing import Any

from django.db import models
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


class ErrorKind(models.TextChoices):
    """What lies in the error queue."""

    DELIVERY = "delivery", "a recipient that will not be tried again by itself"
    SUBMISSION = "submission", "a request that was refused as it was, and kept to be mended"


class ErrorFieldSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ErrorSerializer(serializers.Serializer[Any]):
    """What will not move without a person: a recipient that failed, or a submission that was refused.

    `reason` is the server's own words, or ours; of a submission `faults` names each wrong field. What a submission has
    not is null: it has no message yet, and took no road.
    """

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=ErrorKind.choices)
    message = serializers.UUIDField(allow_null=True)
    ticket = serializers.UUIDField(allow_null=True, help_text="That a refused answer was for.")
    subject = serializers.CharField()
    recipient = serializers.CharField(help_text="The first one, of a submission; empty for none.")
    recipients = serializers.IntegerField()
    state = serializers.ChoiceField(choices=DeliveryState.choices)
    route = serializers.ChoiceField(choices=Route.choices, allow_null=True)
    cause = serializers.CharField()
    reason = serializers.CharField()
    faults = ErrorFieldSerializer(many=True)
    attempts_made = serializers.IntegerField(help_text="Of a submission: how often it was tried.")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class KeptFileSerializer(serializers.Serializer[Any]):
    n = serializers.IntegerField(help_text="As in `attachments[0]`.")
    filename = serializers.CharField()
    size_bytes = serializers.IntegerField()


class WholeErrorSerializer(ErrorSerializer):
    """With all that was asked, of a submission: `submission` is the request's body, its files' bytes left out."""

    submission = serializers.JSONField(allow_null=True)
    files = KeptFileSerializer(many=True)


class MendSerializer(serializers.Serializer[Any]):
    """What to change. Of a submission: any of its fields, null taking one away. Of a delivery: `recipient`."""
