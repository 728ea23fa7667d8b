"""Domains, their DNS records and signing keys, as they are taken and answered."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import StrictSerializer, TextField
from apps.outbound.domains.findings import Verdict
from apps.outbound.models import KeyAlgorithm, KeyState

VERDICTS = [(one.value, one.value) for one in Verdict]


class NewDomainSerializer(StrictSerializer):
    name = TextField(
        max_length=300, help_text="Such as `example.org`; its signing keys are made along with it."
    )


class DomainChangeSerializer(StrictSerializer):
    """What to change; what is not named stays."""

    catch_all = serializers.UUIDField(
        required=False,
        allow_null=True,
        help_text="A mailbox, or null for none.",
    )


class NewKeysSerializer(StrictSerializer):
    algorithms = serializers.ListField(
        child=serializers.ChoiceField(choices=KeyAlgorithm.choices),
        required=False,
        default=lambda: list(KeyAlgorithm.values),
        min_length=1,
        help_text="Both unless given.",
    )


class DomainSerializer(serializers.Serializer[Any]):
    """Nothing is sent from a domain until it is verified."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    is_verified = serializers.BooleanField()
    verified_at = serializers.DateTimeField(allow_null=True)
    catch_all = serializers.UUIDField(
        source="catch_all_id",
        allow_null=True,
        help_text="The mailbox that takes what is sent to addresses nobody has; null: such mail is refused.",
    )
    created_at = serializers.DateTimeField()


class SigningKeySerializer(serializers.Serializer[Any]):
    """A DKIM key. It signs in the state `active` only; its private half is never shown."""

    id = serializers.UUIDField()
    selector = serializers.CharField()
    algorithm = serializers.ChoiceField(choices=KeyAlgorithm.choices)
    state = serializers.ChoiceField(choices=KeyState.choices)
    created_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField(
        allow_null=True, help_text="When its record was last seen to be right."
    )
    activated_at = serializers.DateTimeField(allow_null=True)
    retiring_at = serializers.DateTimeField(allow_null=True)


class DnsRecordSerializer(serializers.Serializer[Any]):
    """A record to publish and, in the answer to a check, what was found in its place."""

    code = serializers.CharField(
        help_text="verify, dkim, spf, dmarc, mx, return_path_spf, return_path_mx, mta_sts; more may come."
    )
    type = serializers.CharField()
    name = serializers.CharField()
    value = serializers.CharField(help_text="Whole, as receivers read it; empty while it cannot be told.")
    strings = serializers.ListField(
        child=serializers.CharField(), help_text="A TXT record's value in strings of at most 255 octets."
    )
    why = serializers.CharField()
    is_needed = serializers.BooleanField()
    verdict = serializers.ChoiceField(
        choices=VERDICTS, allow_null=True, help_text="`unchecked`: DNS could not tell. Null outside a check."
    )
    sentence = serializers.CharField(help_text="What is right or wrong, in words.")
    found = serializers.ListField(child=serializers.CharField())
    remarks = serializers.ListField(child=serializers.CharField())


class WholeDomainSerializer(DomainSerializer):
    """A domain with what it should publish."""

    keys = SigningKeySerializer(many=True)
    records = DnsRecordSerializer(many=True)
    mta_sts_policy = serializers.CharField(
        help_text="To be served at `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`."
    )
    verdict = serializers.ChoiceField(
        choices=VERDICTS, allow_null=True, help_text="The worst of what is needed. Null outside a check."
    )
