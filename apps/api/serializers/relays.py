"""Relays, as they are asked for and as they are answered. A password goes in and never comes out."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import FreelyNamed, StrictSerializer, TextField
from apps.api.serializers.limits import PaceSerializer
from apps.outbound.models import CertificatePolicy, Lane, RelayKind, RelaySecurity
from apps.outbound.models.relays import MAX_PRIORITY, MAX_WEIGHT

STATES = [
    ("ok", "In use"),
    ("failing", "In use, and failed of late"),
    ("resting", "Left alone until a time, because it failed"),
    ("paused", "Paused by a person"),
    ("unknown", "Redis is away"),
]


class DomainList(serializers.ListField):
    child = TextField(max_length=260)

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{
                "required": False,
                "max_length": 200,
                "help_text": "`example.org`, or `*.example.org` for all below it. Empty: all.",
                **options,
            }
        )


class RelayChangeSerializer(StrictSerializer):
    """What to change; what is not named stays. A password that would go to another server has to be given again."""

    name = TextField(max_length=100, required=False)
    host = TextField(
        max_length=255, required=False, allow_blank=True, help_text="A name or address; empty for `direct`."
    )
    port = serializers.IntegerField(required=False, min_value=1, max_value=65535)
    security = serializers.ChoiceField(choices=RelaySecurity.choices, required=False)
    certificates = serializers.ChoiceField(choices=CertificatePolicy.choices, required=False)
    username = TextField(max_length=255, required=False, allow_blank=True)
    password = TextField(
        max_length=255,
        required=False,
        allow_blank=True,
        write_only=True,
        help_text="Kept encrypted and never answered. Empty: forget it.",
    )
    hello_name = TextField(
        max_length=255, required=False, allow_blank=True, help_text="What we call ourselves in EHLO."
    )
    priority = serializers.IntegerField(
        required=False, min_value=0, max_value=MAX_PRIORITY, help_text="Lower is asked first."
    )
    weight = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_WEIGHT, help_text="Share among those of equal priority."
    )
    sender_domains = DomainList()
    recipient_domains = DomainList()
    lanes = serializers.ListField(
        child=serializers.ChoiceField(choices=Lane.choices),
        required=False,
        max_length=10,
        help_text="Priority classes. Empty: all.",
    )
    allow_private_networks = serializers.BooleanField(
        required=False, help_text="Whether `direct` may connect to addresses of private networks."
    )


class NewRelaySerializer(RelayChangeSerializer):
    """A server that takes our mail on, or (`direct`) the way to each recipient's own servers."""

    name = TextField(max_length=100)
    kind = serializers.ChoiceField(choices=RelayKind.choices, required=False)


class RelayTestSerializer(StrictSerializer):
    """What to try. Nothing is sent: after the recipient's address was answered the conversation is taken back."""

    recipient = TextField(
        max_length=254, required=False, help_text="An address to ask about. `direct` needs one."
    )
    sender = TextField(max_length=254, required=False, help_text="The address to send from.")


class AnswerSerializer(serializers.Serializer[Any]):
    """Something a server said, or our account of why it said nothing."""

    at = serializers.DateTimeField()
    good = serializers.BooleanField(help_text="Whether it accepted a message.")
    code = serializers.IntegerField(allow_null=True)
    enhanced = serializers.CharField()
    text = serializers.CharField()
    server = serializers.CharField()


class RestingServerSerializer(serializers.Serializer[Any]):
    host = serializers.CharField()
    until = serializers.DateTimeField()


class RelayHealthSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=STATES)
    until = serializers.DateTimeField(allow_null=True, help_text="When it is tried again, while it rests.")
    because = serializers.CharField(help_text="Its last failure; empty when it is well.")
    answers = AnswerSerializer(many=True, help_text="The last ones, newest first.")
    resting_servers = RestingServerSerializer(
        many=True, help_text="Recipients' servers that a direct relay leaves alone."
    )


class RelayLimitsSerializer(serializers.Serializer[Any]):
    """What may go over it, everybody's bounds and the organisation's own together; see `/limits`. Null: no bound."""

    connections = serializers.IntegerField(source="bounds.connections", allow_null=True)
    per_second = serializers.IntegerField(source="bounds.per_second", allow_null=True)
    per_minute = serializers.IntegerField(source="bounds.per_minute", allow_null=True)
    per_hour = serializers.IntegerField(source="bounds.per_hour", allow_null=True)
    per_day = serializers.IntegerField(source="bounds.per_day", allow_null=True)
    gap_ms = serializers.IntegerField(source="bounds.gap_ms", allow_null=True)
    recipients_per_transaction = serializers.IntegerField(
        source="bounds.recipients_per_transaction", allow_null=True
    )
    max_size_bytes = serializers.IntegerField(source="bounds.max_size_bytes", allow_null=True)
    in_flight = serializers.IntegerField(allow_null=True, help_text="Now; null while Redis is away.")
    windows = serializers.DictField(
        child=serializers.IntegerField(), allow_null=True, help_text="Used of each bounded window."
    )
    pace = PaceSerializer(allow_null=True)


class RelaySerializer(FreelyNamed):
    """A relay and how it is. `read_only` ones come from RELAY_URL and are shared by all organisations."""

    id = serializers.UUIDField(source="relay.pk")
    name = serializers.CharField(source="relay.name")
    kind = serializers.ChoiceField(source="relay.kind", choices=RelayKind.choices)
    host = serializers.CharField(source="relay.host")
    port = serializers.IntegerField(source="relay.port")
    security = serializers.ChoiceField(source="relay.security", choices=RelaySecurity.choices)
    certificates = serializers.ChoiceField(source="relay.certificates", choices=CertificatePolicy.choices)
    username = serializers.CharField(source="relay.username")
    has_secret = serializers.BooleanField(source="relay.has_secret")
    hello_name = serializers.CharField(source="relay.hello_name")
    priority = serializers.IntegerField(source="relay.priority")
    weight = serializers.IntegerField(source="relay.weight")
    sender_domains = serializers.ListField(source="relay.sender_domains", child=serializers.CharField())
    recipient_domains = serializers.ListField(source="relay.recipient_domains", child=serializers.CharField())
    lanes = serializers.ListField(source="relay.lanes", child=serializers.ChoiceField(choices=Lane.choices))
    allow_private_networks = serializers.BooleanField(source="relay.allow_private_networks")
    is_active = serializers.BooleanField(source="relay.is_active")
    read_only_ = serializers.BooleanField(source="relay.from_environment")
    health = RelayHealthSerializer()
    limits = RelayLimitsSerializer()
    created_at = serializers.DateTimeField(source="relay.created_at")
    updated_at = serializers.DateTimeField(source="relay.updated_at")


class StepSerializer(serializers.Serializer[Any]):
    """One step of the conversation."""

    step = serializers.CharField(
        help_text="`route`, `resolve`, `connect`, `greeting`, `ehlo`, `starttls`, `certificate`, `auth`, `mail`, "
        "`rcpt`, …: an open list."
    )
    ok = serializers.BooleanField(allow_null=True, help_text="null: worth a look, and nothing is broken.")
    detail = serializers.CharField(help_text="What happened.")
    advice = serializers.CharField(help_text="What to do; empty where nothing needs doing.")
    ms = serializers.IntegerField(allow_null=True)


class RelayTestAnswerSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField(help_text="Whether all went well.")
    recipient_refused = serializers.BooleanField(
        help_text="Only the recipient asked about was refused: mail to others can go over it."
    )
    steps = StepSerializer(many=True)
