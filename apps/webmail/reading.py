"""A conversation as the page shows it: messages and notes in the order of time, each with what a template needs.

Only a bounded number of messages is opened at once, because each opened body costs a read of its blob: the newest few,
and those not read yet. The others show a line and bring their body when they are opened.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.automation.models import Acknowledgement
from apps.automation.selectors import acknowledgement_of
from apps.blobs.errors import BlobError
from apps.mailboxes.conversations import conversation
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Folder, Mailbox, MailboxEntry, Message, Part, Side
from apps.mailboxes.provenance import Provenance, colleagues_of, provenance_of
from apps.mailboxes.selectors import text_of
from apps.mime.address import comparable_address, typed_address
from apps.outbound.bounces.notices import sentence_of
from apps.outbound.bounces.selectors import notices_of, reports_among, reports_by_delivery
from apps.outbound.bounces.words import told_by
from apps.outbound.models import (
    WAITING,
    Delivery,
    DeliveryNotice,
    DeliveryReport,
    DeliveryState,
    NoticeKind,
    ReportAction,
)
from apps.outbound.selectors import Explanation, deliveries_by_message, explain
from apps.tickets.models import Note, Ticket
from apps.tickets.selectors import assignable_people, notes_of, ticket_of
from apps.webmail.content_tokens import ContentClaim, ContentKind, content_url
from apps.webmail.plain_text import ShownText, show_text

log = structlog.get_logger(__name__)

MAX_UNREAD_OPENED = 8
OPENED = 3

# Upper bounds in bytes of HTML for the frame's estimated heights; see .paper in reading.css.
_FRAME_STEPS = (600, 2_000, 6_000, 16_000)


@dataclass(frozen=True, slots=True)
class Attachment:
    part: Part
    url: str


@dataclass(frozen=True, slots=True)
class ShownReport:
    """What came back about one recipient, and where the mail that said so can be had."""

    report: DeliveryReport
    sentence: str
    url: str


@dataclass(frozen=True, slots=True)
class DeliveryTruth:
    """One recipient of a message we sent, and what is known about it."""

    delivery: Delivery
    explanation: Explanation
    reports: tuple["ShownReport", ...] = ()

    @property
    def can_be_stopped(self) -> bool:
        """No worker has it yet. Others may be quicker than the click; the answer is then 409."""
        return self.delivery.state in WAITING

    @property
    def can_be_hurried(self) -> bool:
        return self.delivery.state == DeliveryState.DEFERRED

    @property
    def is_scheduled(self) -> bool:
        return self.delivery.state == DeliveryState.SCHEDULED

    @property
    def needs_decision(self) -> bool:
        return self.delivery.state == DeliveryState.UNCERTAIN


@dataclass(frozen=True, slots=True)
class Body:
    """HTML in a frame, or text in the page, or the reason why neither can be shown."""

    frame_url: str = ""
    frame_step: int = 1
    text: ShownText | None = None
    problem: str = ""


@dataclass
class ShownMessage:
    """`person` is whose initials and colour stand beside it. `body` is None for a message that is not opened."""

    message: Message
    at: datetime
    name: str
    person: str
    recipients: str
    is_unread: bool
    original_url: str
    provenance: Provenance
    body: Body | None = None
    attachments: list[Attachment] = field(default_factory=list)
    truths: list[DeliveryTruth] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ShownNote:
    note: Note
    at: datetime


@dataclass(frozen=True, slots=True)
class ShownNotice:
    """What the team was told about a mail of theirs that is late, lost or unwanted."""

    notice: DeliveryNotice
    at: datetime
    sentence: str

    @property
    def is_serious(self) -> bool:
        return self.notice.kind != NoticeKind.DELAYED


@dataclass(frozen=True, slots=True)
class ShownConversation:
    """`answers` is the message that an answer answers: the newest one received, else the newest."""

    mailbox: Mailbox
    thread_id: uuid.UUID
    subject: str
    items: list[ShownMessage | ShownNote | ShownNotice]
    ticket: Ticket | None
    acknowledgement: Acknowledgement | None
    people: list[User]
    answers: Message
    is_unread: bool
    is_starred: bool
    folders: frozenset[str]

    @property
    def messages(self) -> list[ShownMessage]:
        return [item for item in self.items if isinstance(item, ShownMessage)]


def show_conversation(
    principal: Principal, mailbox: Mailbox, folder: Folder, thread_id: uuid.UUID, now: datetime
) -> ShownConversation:
    """Everything the reading pane shows. Raises NotVisible for a thread the mailbox has nothing of.

    What we took back before it left is shown in the Trash, where it lies, and nowhere else: nobody ever got it.
    """
    found = conversation(principal, mailbox, thread_id)
    if not found:
        raise NotVisible(str(thread_id))
    reports = reports_among(found)
    found = [message for message in found if message.pk not in reports] or found
    said = [message for message in found if message.state != DeliveryState.CANCELLED]
    messages = said if said and folder != Folder.TRASH else found
    ticket = ticket_of(mailbox, thread_id)
    shown = _show_messages(principal, mailbox, messages, now)
    notes = notes_of(ticket) if ticket else []
    items: list[ShownMessage | ShownNote | ShownNotice] = [
        *shown,
        *(ShownNote(note, note.created_at) for note in notes),
        *(ShownNotice(one, one.told_at, sentence_of(one, now)) for one in notices_of(principal, messages)),
    ]
    entries = [entry for message in messages for entry in entries_in(mailbox, message)]
    return ShownConversation(
        mailbox=mailbox,
        thread_id=thread_id,
        subject=messages[0].subject,
        items=sorted(items, key=lambda item: item.at),
        ticket=ticket,
        acknowledgement=acknowledgement_of(ticket) if ticket else None,
        people=list(assignable_people(ticket)) if ticket else [],
        answers=_message_to_answer(mailbox, messages),
        is_unread=any(not entry.is_read for entry in entries),
        is_starred=any(entry.is_starred for entry in entries),
        folders=frozenset(entry.folder for entry in entries),
    )


def show_message(principal: Principal, mailbox: Mailbox, message: Message, now: datetime) -> ShownMessage:
    """One message, opened."""
    truths = _truths_by_message(principal, [message], now)
    shown = _show(principal, mailbox, message, truths, colleagues_of(mailbox.organisation_id), now=now)
    shown.body = _body(principal, message, now)
    return shown


def entries_in(mailbox: Mailbox, message: Message) -> list[MailboxEntry]:
    """The message's entries in one mailbox: two when a mailbox wrote to itself."""
    entries: list[MailboxEntry] = getattr(message, "visible_entries", [])
    return [entry for entry in entries if entry.mailbox_id == mailbox.pk]


def _show_messages(
    principal: Principal, mailbox: Mailbox, messages: Sequence[Message], now: datetime
) -> list[ShownMessage]:
    truths = _truths_by_message(principal, messages, now)
    colleagues = colleagues_of(mailbox.organisation_id)
    shown = [_show(principal, mailbox, message, truths, colleagues, now=now) for message in messages]
    unread = [one for one in shown if one.is_unread]
    for one in {id(one): one for one in [*shown[-OPENED:], *unread[-MAX_UNREAD_OPENED:]]}.values():
        one.body = _body(principal, one.message, now)
    return shown


def _show(
    principal: Principal,
    mailbox: Mailbox,
    message: Message,
    truths: dict[uuid.UUID, list[DeliveryTruth]],
    colleagues: Mapping[str, str],
    *,
    now: datetime,
) -> ShownMessage:
    entries = entries_in(mailbox, message)
    writer = message.sender_name or message.sender_address or _("Unknown sender")
    # A colleague's answer goes out in the mailbox's name; within the team it matters who wrote it.
    colleague = message.author.name if message.author else writer
    is_me = principal.user is not None and message.author_id == principal.user.pk
    return ShownMessage(
        message=message,
        at=message.received_at,
        name=_("You") if is_me else colleague,
        person=colleague,
        recipients=_recipients_line(message),
        is_unread=any(not entry.is_read for entry in entries),
        original_url=_url(principal, ContentKind.ORIGINAL, message, now),
        provenance=provenance_of(message, colleagues),
        attachments=_attachments(principal, message, now),
        truths=truths.get(message.pk, []),
    )


def _recipients_line(message: Message) -> str:
    """ "to Ana, Ben, cc Carla"; with Bcc only for those on the sender's side."""
    fields = [
        (_("to"), message.to),
        (_("cc"), message.cc),
        (_("bcc"), message.bcc if _knows_bcc(message) else []),
    ]
    return ", ".join(
        f"{word} {', '.join(one['name'] or one['address'] for one in people)}"
        for word, people in fields
        if people
    )


def _knows_bcc(message: Message) -> bool:
    """Bcc recipients are known to whoever sees the sender's copy, in whichever mailbox that lies."""
    entries: list[MailboxEntry] = getattr(message, "visible_entries", [])
    return any(entry.side == Side.SENDER for entry in entries)


def _truths_by_message(
    principal: Principal, messages: Sequence[Message], now: datetime
) -> dict[uuid.UUID, list[DeliveryTruth]]:
    found = deliveries_by_message(principal, messages)
    reports = reports_by_delivery(principal, [one for deliveries in found.values() for one in deliveries])
    return {
        message_id: [
            DeliveryTruth(
                delivery,
                explain(delivery, now),
                tuple(_show_report(principal, delivery, one, now) for one in reports.get(delivery.pk, ())),
            )
            for delivery in deliveries
        ]
        for message_id, deliveries in found.items()
    }


def _show_report(
    principal: Principal, delivery: Delivery, report: DeliveryReport, now: datetime
) -> ShownReport:
    # What a bounced delivery says of itself is what its report said.
    is_said = delivery.state == DeliveryState.BOUNCED and report.action == ReportAction.FAILED
    url = _url(principal, ContentKind.ORIGINAL, report.message, now)
    return ShownReport(report, "" if is_said else told_by(report), url)


def _attachments(principal: Principal, message: Message, now: datetime) -> list[Attachment]:
    return [
        Attachment(part, _url(principal, ContentKind.ATTACHMENT, message, now, part.n))
        for part in message.parts.all()
        if not part.inline
    ]


def _body(principal: Principal, message: Message, now: datetime) -> Body:
    size = message.html.size_bytes if message.html is not None else len(message.short_html)
    if size:
        step = 1 + sum(size > bound for bound in _FRAME_STEPS)
        return Body(frame_url=_url(principal, ContentKind.BODY, message, now), frame_step=step)
    try:
        return Body(text=show_text(text_of(message)))
    except BlobError as error:
        # The rest of the conversation is still worth reading, so one text that is out of reach does not take it away.
        log.warning("text_not_readable", message_id=str(message.pk), error=type(error).__name__)
        return Body(
            problem=_("The text cannot be read right now. It is not lost; please try again in a minute.")
        )


def _url(principal: Principal, kind: ContentKind, message: Message, now: datetime, n: int = 0) -> str:
    if principal.user is None:
        msg = "content tokens are for people"
        raise ValueError(msg)
    return content_url(kind, ContentClaim(message.pk, principal.user.pk, n), now)


def _message_to_answer(mailbox: Mailbox, messages: Sequence[Message]) -> Message:
    received = [
        message
        for message in messages
        if any(entry.side == Side.RECIPIENT for entry in entries_in(mailbox, message))
    ]
    return (received or list(messages))[-1]


@dataclass(frozen=True, slots=True)
class Recipients:
    """Whom an answer goes to: `to` at once, `everybody` as Cc when all are answered."""

    to: list[str]
    everybody: list[str]


def recipients_of_answer(mailbox: Mailbox, message: Message) -> Recipients:
    """Reply-To before From (RFC 5322 §3.6.2), and never ourselves. An answer to our own mail goes where that went."""
    own = {comparable_address(mailbox.address)}
    wrote = message.reply_to or [{"name": message.sender_name, "address": message.sender_address}]
    is_ours = comparable_address(message.sender_address) in own
    to = message.to if is_ours else wrote
    rest = message.cc if is_ours else [*message.to, *message.cc]
    taken = own | {comparable_address(one["address"]) for one in to}
    everybody: list[str] = []
    for one in rest:
        normal = comparable_address(one["address"])
        if normal not in taken:
            taken.add(normal)
            everybody.append(typed_address(one["name"], one["address"]))
    return Recipients([typed_address(one["name"], one["address"]) for one in to if one["address"]], everybody)
