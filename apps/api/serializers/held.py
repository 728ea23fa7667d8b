"""Held mail and trusted senders, as they are asked for and as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import FreelyNamed, StrictSerializer, TextField
from apps.api.serializers.messages import AddressSerializer
from apps.api.serializers.queries import PageQuery
from apps.api.serializers.tickets import PersonSerializer
from apps.mailboxes.models import MessageKind
from apps.tickets.models import DmarcWish, ForbiddenFiles, HeldState, LockedArchives, SpamWish


class HeldQuery(PageQuery):
    state = serializers.ChoiceField(
        choices=HeldState.choices, required=False, default=HeldState.WAITING.value
    )
    cause = TextField(required=False, max_length=64)
    mailbox = serializers.UUIDField(required=False)


class HeldFileSerializer(serializers.Serializer[Any]):
    filename = serializers.CharField()
    content_type = serializers.CharField()
    size_bytes = serializers.IntegerField()


class HeldSerializer(FreelyNamed):
    """Received mail that waits for a person.

    `cause` is a code and `reason` one sentence; clients accept codes they do not know: `infected`, `forbidden_file`,
    `spam`, `dmarc_reject`, `dmarc_quarantine`, `scanner_unavailable`, `unscannable`. `details` are the evidence: rules,
    signatures, scores.
    """

    id = serializers.UUIDField(source="row.pk")
    state = serializers.ChoiceField(source="row.state", choices=HeldState.choices)
    cause = serializers.CharField(source="row.cause")
    reason = serializers.CharField(source="row.reason")
    details = serializers.ListField(source="row.details", child=serializers.CharField())
    mailbox = serializers.UUIDField(allow_null=True, help_text="The first of `mailboxes`.")
    mailboxes = serializers.ListField(
        child=serializers.UUIDField(),
        help_text="Where it goes if it is released, as far as you may see them.",
    )
    kind = serializers.ChoiceField(source="row.kind", choices=MessageKind.choices)
    sender = serializers.CharField(source="row.sender_address")
    from_ = AddressSerializer(source="written_by")
    to = AddressSerializer(source="row.to", many=True)
    subject = serializers.CharField(source="row.subject")
    preview = serializers.CharField(source="row.preview", help_text="The beginning of its text.")
    attachments = HeldFileSerializer(source="row.files", many=True)
    size_bytes = serializers.IntegerField(source="row.size_bytes")
    authentication = serializers.DictField(source="row.authentication", allow_null=True)
    received_at = serializers.DateTimeField(source="row.received_at")
    held_at = serializers.DateTimeField(source="row.held_at")
    decided_at = serializers.DateTimeField(source="row.decided_at", allow_null=True)
    decided_by = PersonSerializer(
        source="row.decided_by", allow_null=True, help_text="Null for a program's decision, and for none."
    )
    message = serializers.UUIDField(source="row.message_id", allow_null=True, help_text="Once released.")


class ReleaseSerializer(StrictSerializer):
    trust = serializers.BooleanField(
        required=False, default=False, help_text="Hold no more of this sender's mail as spam."
    )


class ReleasedSerializer(serializers.Serializer[Any]):
    """The message that it became. It is the same for whoever releases it again."""

    id = serializers.UUIDField(help_text="Of the held mail.")
    state = serializers.ChoiceField(choices=HeldState.choices)
    message = serializers.UUIDField()
    ticket = serializers.UUIDField(allow_null=True)


class NewTrustedSenderSerializer(StrictSerializer):
    sender = TextField(max_length=320, help_text="An address, or a domain alone.")


class TrustedSenderSerializer(serializers.Serializer[Any]):
    """Mail that is proven to be theirs is not held as spam."""

    id = serializers.UUIDField()
    sender = serializers.CharField()
    added_by = PersonSerializer(allow_null=True)
    created_at = serializers.DateTimeField()


class ReceivingPolicySerializer(serializers.Serializer[Any]):
    """What the organisation has held of received mail. A virus always is."""

    forbidden_files = serializers.ChoiceField(
        choices=ForbiddenFiles.choices, help_text="Programs, scripts, macros that run by themselves."
    )
    locked_archives = serializers.ChoiceField(
        choices=LockedArchives.choices, help_text="What no scanner can look into."
    )
    spam = serializers.ChoiceField(
        choices=SpamWish.choices, help_text="What rspamd, or the filter that learns from marks, takes for it."
    )
    dmarc = serializers.ChoiceField(
        choices=DmarcWish.choices,
        help_text="What fails DMARC, where its domain asks for something to be done.",
    )


class ReceivingPolicyChangeSerializer(StrictSerializer):
    """What to change; what is not named stays."""

    forbidden_files = serializers.ChoiceField(choices=ForbiddenFiles.choices, required=False)
    locked_archives = serializers.ChoiceField(choices=LockedArchives.choices, required=False)
    spam = serializers.ChoiceField(choices=SpamWish.choices, required=False)
    dmarc = serializers.ChoiceField(choices=DmarcWish.choices, required=False)
