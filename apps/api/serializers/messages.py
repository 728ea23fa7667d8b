"""Messages, as they are asked for and as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import (
    AddressList,
    Base64Field,
    FreelyNamed,
    MetadataField,
    SharedFields,
    SharedList,
    StrictSerializer,
    TextField,
)
from apps.mailboxes.models import Direction, Folder, MessageKind
from apps.mailboxes.provenance import Standing
from apps.outbound.models import DeliveryState, Lane, ReportAction, ReportProof, Route, ScreeningOutcome


class NewAttachmentSerializer(StrictSerializer):
    filename = TextField(max_length=255)
    content_type = TextField(max_length=255, required=False, default="application/octet-stream")
    content = Base64Field(help_text="Base64.")
    content_id = TextField(
        max_length=255,
        required=False,
        default="",
        allow_blank=True,
        help_text="For `cid:` images of the HTML.",
    )

    class Meta:
        list_serializer_class = SharedList


class UnsubscribeSerializer(StrictSerializer):
    """Writes List-Unsubscribe, and with a `url` List-Unsubscribe-Post: one click and no question (RFC 8058)."""

    url = TextField(required=False, default="", max_length=900, help_text="https; takes a POST.")
    mailto = TextField(required=False, default="", max_length=900, help_text="An address, as in RFC 2369.")


class NewMessageSerializer(SharedFields, FreelyNamed, StrictSerializer):
    """A message to send. Only `from` and one recipient are needed."""

    from_ = TextField(
        source="sender", max_length=1000, help_text="`support@demo.test` or `Team <support@demo.test>`"
    )
    to = AddressList()
    cc = AddressList()
    bcc = AddressList()
    reply_to = AddressList()
    subject = TextField(required=False, default="", allow_blank=True)
    text = TextField(required=False, default="", allow_blank=True)
    html = TextField(required=False, default="", allow_blank=True)
    headers = serializers.DictField(child=TextField(allow_blank=True), required=False, default=dict)
    attachments = NewAttachmentSerializer(many=True, required=False, default=tuple)
    in_reply_to = TextField(
        required=False,
        default="",
        allow_blank=True,
        help_text="A Message-ID, or the id of a message you may see.",
    )
    send_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Not before."
    )
    hold_seconds = serializers.IntegerField(
        required=False, default=0, min_value=0, help_text="Can be cancelled for so long."
    )
    priority = TextField(
        required=False,
        default="normal",
        help_text="high, normal, low or bulk; the last two go the slow lane.",
    )
    cancel_if_replied = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Whoever still waits for it does not get it once somebody has answered in the conversation.",
    )
    list_unsubscribe = UnsubscribeSerializer(required=False, allow_null=True, default=None)
    tags = serializers.ListField(child=TextField(max_length=100), required=False, default=list, max_length=50)
    metadata = MetadataField(required=False, default=dict)


class RetrySerializer(StrictSerializer):
    """How to try again; nothing needs to be said."""

    relay = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Over this relay and no other; what is due goes over it too.",
    )


class RescheduleSerializer(StrictSerializer):
    send_at = serializers.DateTimeField(allow_null=True, help_text="With its zone; null sends it now.")


class AddressSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    address = serializers.CharField()


class ReportSerializer(serializers.Serializer[Any]):
    """What came back about one recipient after it was accepted: a bounce, a delay, a complaint."""

    action = serializers.ChoiceField(choices=ReportAction.choices)
    nature = serializers.CharField(help_text="What kind of failure, as a code. An open list.")
    status = serializers.CharField(help_text="RFC 3463.")
    diagnostic = serializers.CharField(help_text="The server's words.")
    server = serializers.CharField(help_text="Which one said so.")
    recipient = serializers.CharField(help_text="Whom it names: the mail may have been forwarded.")
    proof = serializers.ChoiceField(choices=ReportProof.choices, help_text="How we know what it is about.")
    reported_at = serializers.DateTimeField()
    message = serializers.UUIDField(
        source="message_id",
        allow_null=True,
        help_text="The report itself; see its `raw`. Null where it was held for what it carries.",
    )


class ScreeningSerializer(serializers.Serializer[Any]):
    """The latest verdict on a message before it leaves. Its recipients share it."""

    outcome = serializers.ChoiceField(choices=ScreeningOutcome.choices)
    scanner = serializers.CharField(help_text="The one that decided.")
    code = serializers.CharField(help_text="What it found. An open list.")
    reason = serializers.CharField(help_text="The same in a sentence; empty for what is clean.")
    details = serializers.ListField(child=serializers.CharField(), help_text="Rules, signatures, scores.")
    screened_at = serializers.DateTimeField()
    try_again_at = serializers.DateTimeField(allow_null=True, help_text="When no scanner answered.")


class DeliverySerializer(SharedFields):
    """One recipient, and the truth about it. `reason` says in one sentence why it stands where it stands."""

    id = serializers.UUIDField()
    recipient = serializers.CharField()
    state = serializers.ChoiceField(choices=DeliveryState.choices)
    route = serializers.ChoiceField(choices=Route.choices)
    reason = serializers.CharField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    reports = ReportSerializer(many=True, help_text="What came back about it, oldest first.")


class AttemptSerializer(serializers.Serializer[Any]):
    """One conversation with one server about one recipient."""

    number = serializers.IntegerField()
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.CharField(help_text="The state it led to; empty while it goes on.")
    relay = serializers.CharField(source="relay.name", allow_null=True, default=None)
    server = serializers.CharField()
    tls = serializers.CharField(help_text="Empty for none.")
    code = serializers.IntegerField(allow_null=True, help_text="RFC 5321 §4.2.")
    enhanced = serializers.CharField(help_text="RFC 3463.")
    text = serializers.CharField(help_text="The server's words, or our own account of what went wrong.")
    phases_ms = serializers.DictField(child=serializers.IntegerField())


class WholeDeliverySerializer(DeliverySerializer):
    """One recipient with all that was tried."""

    cause = serializers.CharField(help_text="Why it waits or failed, as a code. An open list.")
    lane = serializers.ChoiceField(choices=Lane.choices)
    attempts_made = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(help_text="When we give up, unless it has left by then.")
    cancel_if_replied = serializers.BooleanField()
    attempts = AttemptSerializer(many=True)
    screening = ScreeningSerializer(allow_null=True, help_text="Of the message; null before it was screened.")


class AcceptedSerializer(SharedFields):
    """What was taken into custody. Nothing answered with this is lost afterwards."""

    id = serializers.UUIDField(source="message.pk")
    message_id = serializers.CharField(source="message.rfc_message_id", help_text="Without angle brackets.")
    state = serializers.CharField(source="message.state")
    deliveries = DeliverySerializer(many=True)
    created_at = serializers.DateTimeField(source="message.received_at")


class EntrySerializer(serializers.Serializer[Any]):
    """Where the message lies, of the mailboxes the caller may see."""

    mailbox = serializers.UUIDField(source="mailbox_id")
    folder = serializers.ChoiceField(choices=Folder.choices)
    flags = serializers.ListField(child=serializers.CharField())


class AttachmentWarningSerializer(serializers.Serializer[Any]):
    """Why to think twice before opening a file."""

    code = serializers.CharField(help_text="`disguised_program`, `type_mismatch`, `program`… An open list.")
    reason = serializers.CharField(help_text="The same in a sentence.")


class AttachmentSerializer(serializers.Serializer[Any]):
    n = serializers.IntegerField()
    filename = serializers.CharField()
    content_type = serializers.CharField(help_text="As the mail says.")
    detected_type = serializers.CharField(
        allow_null=True,
        help_text="As its bytes say; empty where they do not, null for what nobody looked at.",
    )
    warning = AttachmentWarningSerializer(allow_null=True)
    size_bytes = serializers.IntegerField()
    inline = serializers.BooleanField()
    content_id = serializers.CharField()
    within = serializers.IntegerField(
        allow_null=True, help_text="`n` of the file it was found in: a winmail.dat, a forwarded message."
    )
    sha256 = serializers.CharField(help_text="Hexadecimal.")
    url = serializers.URLField()


class ProofSerializer(serializers.Serializer[Any]):
    result = serializers.CharField(help_text="RFC 8601's word; `unchecked` where nobody asked.")
    reason = serializers.CharField(help_text="The same in a sentence.")


class SpfSerializer(ProofSerializer):
    domain = serializers.CharField(required=False, help_text="Of the envelope.")


class SignatureSerializer(ProofSerializer):
    domain = serializers.CharField()
    selector = serializers.CharField()
    algorithm = serializers.CharField()
    covers_unsubscribe = serializers.BooleanField(
        required=False, help_text="It holds over List-Unsubscribe and List-Unsubscribe-Post (RFC 8058 §4)."
    )


class DkimSerializer(ProofSerializer):
    signatures = SignatureSerializer(many=True, required=False)


class DmarcSerializer(ProofSerializer):
    domain = serializers.CharField(required=False, help_text="In From.")
    policy = serializers.CharField(
        required=False, help_text="What that domain asks for: none, quarantine, reject; empty for no policy."
    )
    disposition = serializers.CharField(
        required=False, help_text="What that comes to for this message, with pct= and trusted forwarders."
    )
    proven_by = serializers.CharField(required=False, help_text="signature, servers, or empty.")


class ArcSerializer(ProofSerializer):
    sealers = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="The newest first."
    )
    vouched_by = serializers.CharField(
        required=False, help_text="A sealer trusted here that says the message passed DMARC there."
    )


class EnclosedSerializer(FreelyNamed):
    """A message within the message, such as one forwarded as an attachment."""

    n = serializers.IntegerField(help_text="Of the attachment that holds its bytes.")
    from_ = AddressSerializer()
    to = AddressSerializer(many=True)
    subject = serializers.CharField()
    date = serializers.DateTimeField(allow_null=True)
    snippet = serializers.CharField()


class InvitationSerializer(serializers.Serializer[Any]):
    """What its calendar part says of the first event. Nothing acts on it."""

    method = serializers.CharField(help_text="REQUEST, CANCEL, REPLY, …; empty for none.")
    summary = serializers.CharField()
    starts = serializers.CharField(
        help_text="ISO 8601: a date for whole days; a time without offset where its zone is not known."
    )
    ends = serializers.CharField(help_text="Of whole days the last one.")
    time_zone = serializers.CharField(help_text="As the mail names it.")
    location = serializers.CharField()
    organiser = AddressSerializer(allow_null=True)
    people = AddressSerializer(many=True, help_text="At most 50.")
    people_count = serializers.IntegerField()
    repeats = serializers.BooleanField()
    uid = serializers.CharField()
    answer = serializers.CharField(help_text="PARTSTAT of who replies: ACCEPTED, DECLINED, TENTATIVE, …")


class AuthenticationSerializer(serializers.Serializer[Any]):
    """Who sent it, as far as that could be proven when it came."""

    standing = serializers.ChoiceField(choices=Standing.choices, help_text="All of it in one word.")
    spf = SpfSerializer()
    dkim = DkimSerializer()
    dmarc = DmarcSerializer()
    arc = ArcSerializer()
    authentication_results = serializers.CharField(
        help_text="The value of an Authentication-Results field (RFC 8601)."
    )


class MessageSerializer(FreelyNamed):
    """A message, the same in lists and by itself. `bcc` and `deliveries` are there for the sender's side only."""

    id = serializers.UUIDField(source="message.pk")
    message_id = serializers.CharField(source="message.rfc_message_id", help_text="Without angle brackets.")
    entries = EntrySerializer(many=True)
    direction = serializers.ChoiceField(source="message.direction", choices=Direction.choices)
    state = serializers.CharField(help_text="Of its least finished delivery; `filed` where it was received.")
    kind = serializers.ChoiceField(source="message.kind", choices=MessageKind.choices)
    from_ = AddressSerializer(source="sender")
    to = AddressSerializer(source="message.to", many=True)
    cc = AddressSerializer(source="message.cc", many=True)
    bcc = AddressSerializer(many=True, required=False)
    reply_to = AddressSerializer(source="message.reply_to", many=True)
    subject = serializers.CharField(source="message.subject")
    date = serializers.DateTimeField(
        source="message.date", allow_null=True, help_text="As its Date field claims."
    )
    received_at = serializers.DateTimeField(source="message.received_at", help_text="When we took custody.")
    size_bytes = serializers.IntegerField(source="message.size_bytes")
    text = serializers.CharField()
    new_text = serializers.CharField(help_text="`text` without folded quotes.")
    html = serializers.CharField(help_text="Sanitised; empty when the message has none.")
    snippet = serializers.CharField(source="message.snippet")
    attachments = AttachmentSerializer(many=True)
    enclosed = EnclosedSerializer(many=True)
    invitation = InvitationSerializer(allow_null=True)
    remarks = serializers.ListField(
        child=serializers.CharField(),
        help_text="`smime_encrypted`, `smime_signed`, `pgp_encrypted`, `pgp_signed`, `partial_message`, "
        "`external_body`; more may come.",
    )
    authentication = AuthenticationSerializer()
    thread = serializers.UUIDField(source="message.thread_id")
    ticket = serializers.UUIDField(allow_null=True)
    filed_because = serializers.CharField(
        source="message.filed_sentence", help_text="Why it belongs to its conversation, in one sentence."
    )
    filed_rule = serializers.CharField(
        source="message.filed_rule", help_text="The same as a code. An open list; empty for old messages."
    )
    new_participant = serializers.BooleanField(
        source="message.new_participant",
        help_text="Its sender had no part in the conversation before: somebody passed on a mail of ours.",
    )
    tags = serializers.ListField(child=serializers.CharField())
    metadata = serializers.DictField()
    deliveries = DeliverySerializer(many=True, required=False)
    screening = ScreeningSerializer(
        allow_null=True, help_text="On its way out; null before that, and to whoever did not send it."
    )


class EventSerializer(FreelyNamed):
    """Something that happened to the message, in ids and codes."""

    id = serializers.IntegerField()
    kind = serializers.CharField()
    at = serializers.DateTimeField(source="created_at")
    actor = serializers.CharField(
        help_text="`user:ID`, `key:ID`, `app-password:ID`, or empty for the platform itself."
    )
    ticket = serializers.UUIDField(source="ticket_id", allow_null=True)
    delivery = serializers.UUIDField(source="delivery_id", allow_null=True)
    data_ = serializers.DictField()
