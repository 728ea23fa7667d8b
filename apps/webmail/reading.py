"""A conversation as the page shows it: messages and notes in the order of time, each with what a template needs.

Only a bounded number of messages is opened at once, because each opened body costs a read of its blob: the newest few,
and those not read yet. The others show a line and bring their body when they are opened.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.automation.models import Acknowledgement
from apps.automation.selectors import acknowledgement_of
from apps.mailboxes.conversations import Outlined, conversation, outline
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.labels import labels_by_thread
from apps.mailboxes.models import Folder, Label, Mailbox, MailboxEntry, Message, Side
from apps.mailboxes.provenance import Provenance, colleagues_of, provenance_of
from apps.mailboxes.snoozing import snoozed_until
from apps.outbound.bounces.notices import sentence_of
from apps.outbound.bounces.selectors import notices_of, reports_in
from apps.outbound.models import (
    DeliveryNotice,
    DeliveryState,
    NoticeKind,
)
from apps.reading.choices import Look, look_at, looks_at
from apps.reading.done import Done, done_with
from apps.reading.unsubscribing import Leaving, leaving_of
from apps.tickets.models import Note, Ticket
from apps.tickets.selectors import assignable_people, notes_of, ticket_of
from apps.webmail.bodies import Body, body_of, frame_query
from apps.webmail.content_tokens import ContentKind, content_url_for
from apps.webmail.customers import count_other_tickets
from apps.webmail.folding import Fold, fold_before
from apps.webmail.folding import fold as fold_of
from apps.webmail.history import ShownMove, ShownRemark, hints_for, moves_shown, withheld_shown
from apps.webmail.truths import DeliveryTruth, truths_by_message
from apps.webmail.within import Within, show_within

MAX_UNREAD_OPENED = 8
OPENED = 3


@dataclass
class ShownMessage:
    """`person` is whose initials and colour stand beside it. `body` is None for a message that is not opened, which has
    nothing of what follows it either."""

    message: Message
    at: datetime
    name: str
    person: str
    recipients: str
    is_unread: bool
    provenance: Provenance
    body: Body | None = None
    original_url: str = ""
    within: Within = field(default_factory=Within)
    leaving: Leaving = field(default_factory=Leaving)
    done: Done = field(default_factory=Done)
    truths: list[DeliveryTruth] = field(default_factory=list)
    belongs_to: Ticket | None = None


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
class ShownFold:
    """Messages that are not shown yet, in one line."""

    fold: Fold
    at: datetime


Item = ShownMessage | ShownNote | ShownNotice | ShownMove | ShownRemark | ShownFold


@dataclass(frozen=True, slots=True)
class ShownConversation:
    """`answers` is the message that an answer answers: the newest one received, else the newest."""

    mailbox: Mailbox
    thread_id: uuid.UUID
    subject: str
    items: list[Item]
    ticket: Ticket | None
    acknowledgement: Acknowledgement | None
    other_tickets: int
    people: list[User]
    answers: Message
    is_unread: bool
    is_starred: bool
    folders: frozenset[str]
    labels: list[Label]
    snoozed_until: datetime | None

    @property
    def messages(self) -> list[ShownMessage]:
        return [item for item in self.items if isinstance(item, ShownMessage)]


def show_conversation(
    principal: Principal,
    mailbox: Mailbox,
    folder: Folder,
    thread_id: uuid.UUID,
    now: datetime,
    *,
    unfolded: uuid.UUID | None = None,
) -> ShownConversation:
    """Everything the reading pane shows. Raises NotVisible for a thread the mailbox has nothing of. `unfolded`: the
    message up to which somebody has opened the fold, which then ends there.

    What we took back before it left is shown in the Trash, where it lies, and nowhere else: nobody ever got it.
    """
    outlined = _outline(mailbox, folder, thread_id)
    answers = next((one for one in reversed(outlined) if one.side == Side.RECIPIENT), outlined[-1]).message_id
    fold = (fold_before(outlined, unfolded) if unfolded else None) or fold_of(outlined, [answers])
    folded = frozenset(fold.message_ids) if fold else frozenset()
    shown_ids = {one.message_id for one in outlined} - folded
    messages = conversation(principal, mailbox, thread_id, shown_ids)
    ticket = ticket_of(mailbox, thread_id)
    acknowledgement = acknowledgement_of(ticket) if ticket else None
    beside = _beside(ticket, acknowledgement)
    items: list[Item] = [
        *_show_messages(principal, mailbox, ticket, messages, now),
        *_notices(principal, messages, now),
        *(one for one in beside if fold is None or not fold.holds(one.at)),
        *([ShownFold(fold, fold.at)] if fold else []),
    ]
    return ShownConversation(
        mailbox=mailbox,
        thread_id=thread_id,
        subject=messages[0].subject,
        items=sorted(items, key=lambda item: item.at),
        ticket=ticket,
        acknowledgement=acknowledgement,
        other_tickets=count_other_tickets(principal, ticket) if ticket else 0,
        people=list(assignable_people(ticket)) if ticket else [],
        answers=next(message for message in messages if message.pk == answers),
        is_unread=any(not one.is_read for one in outlined),
        is_starred=any(one.is_starred for one in outlined),
        folders=(folders := frozenset(one.folder for one in outlined)),
        labels=labels_by_thread(mailbox, [thread_id]).get(thread_id, []),
        snoozed_until=snoozed_until(mailbox, thread_id) if Folder.SNOOZED in folders else None,
    )


def show_folded(
    principal: Principal,
    mailbox: Mailbox,
    thread_id: uuid.UUID,
    *,
    before_id: uuid.UUID,
    now: datetime,
) -> list[Item]:
    """What was folded away before a message, as closed lines: nothing where that was moved away since. Raises
    NotVisible for a thread the mailbox has nothing of.
    """
    outlined = _outline(mailbox, Folder.INBOX, thread_id)
    fold = fold_before(outlined, before_id)
    if fold is None:
        return []
    opened, stay = fold.opened()
    rest = fold_before(outlined, opened[0]) if stay else None
    messages = conversation(principal, mailbox, thread_id, opened)
    ticket = ticket_of(mailbox, thread_id)
    acknowledgement = acknowledgement_of(ticket) if ticket else None
    beside = _beside(ticket, acknowledgement)
    items: list[Item] = [
        *(_show(principal, mailbox, message, {}, {}) for message in messages),
        *_notices(principal, messages, now),
        *(one for one in beside if fold.holds(one.at) and not (rest and rest.holds(one.at))),
        *([ShownFold(rest, rest.at)] if rest else []),
    ]
    return sorted(items, key=lambda item: item.at)


def _outline(mailbox: Mailbox, folder: Folder, thread_id: uuid.UUID) -> list[Outlined]:
    """What is to be seen of a conversation in this folder. Raises NotVisible."""
    found = outline(mailbox, thread_id)
    if not found:
        raise NotVisible(str(thread_id))
    reports = reports_in(mailbox, thread_id)
    found = [one for one in found if one.message_id not in reports] or found
    said = [one for one in found if one.state != DeliveryState.CANCELLED]
    return said if said and folder != Folder.TRASH else found


def _beside(
    ticket: Ticket | None, acknowledgement: Acknowledgement | None
) -> list[ShownNote | ShownMove | ShownRemark]:
    """What the team wrote and did between the messages, and what the product left undone."""
    if ticket is None:
        return []
    notes = [ShownNote(note, note.created_at) for note in notes_of(ticket)]
    return [*notes, *moves_shown(ticket), *withheld_shown(acknowledgement)]


def _notices(principal: Principal, messages: Sequence[Message], now: datetime) -> list[ShownNotice]:
    """With their messages, folded or not: what a notice is about may be long past when it comes."""
    return [ShownNotice(one, one.told_at, sentence_of(one, now)) for one in notices_of(principal, messages)]


def show_message(principal: Principal, mailbox: Mailbox, message: Message, now: datetime) -> ShownMessage:
    """One message, opened."""
    truths = truths_by_message(principal, [message], now)
    shown = _show(principal, mailbox, message, truths, colleagues_of(mailbox.organisation_id))
    _open(principal, shown, look_at(principal, message), now)
    shown.done = done_with(mailbox, [message])[message.pk]
    return shown


def entries_in(mailbox: Mailbox, message: Message) -> list[MailboxEntry]:
    """The message's entries in one mailbox: two when a mailbox wrote to itself."""
    entries: list[MailboxEntry] = getattr(message, "visible_entries", [])
    return [entry for entry in entries if entry.mailbox_id == mailbox.pk]


def _show_messages(
    principal: Principal, mailbox: Mailbox, ticket: Ticket | None, messages: Sequence[Message], now: datetime
) -> list[ShownMessage]:
    truths = truths_by_message(principal, messages, now)
    hints = hints_for(ticket, messages)
    colleagues = colleagues_of(mailbox.organisation_id)
    shown = [_show(principal, mailbox, message, truths, colleagues) for message in messages]
    unread = [one for one in shown if one.is_unread]
    opened = list({id(one): one for one in [*shown[-OPENED:], *unread[-MAX_UNREAD_OPENED:]]}.values())
    looks = looks_at(principal, [one.message for one in opened])
    done = done_with(mailbox, [one.message for one in opened])
    for one in opened:
        _open(principal, one, looks.get(one.message.pk, Look()), now)
        one.done = done[one.message.pk]
        one.belongs_to = hints.get(one.message.pk)
    return shown


def _open(principal: Principal, shown: ShownMessage, look: Look, now: datetime) -> None:
    """What only an opened message needs: each address on the content origin is a signature."""
    message = shown.message
    shown.body = body_of(principal, message, look, now)
    shown.original_url = content_url_for(principal, ContentKind.ORIGINAL, message, now)
    shown.leaving = leaving_of(message)

    def link(kind: ContentKind, n: int) -> str:
        url = content_url_for(principal, kind, message, now, n)
        return url + frame_query(look) if kind == ContentKind.ENCLOSED else url

    shown.within = show_within(message, link)


def _show(
    principal: Principal,
    mailbox: Mailbox,
    message: Message,
    truths: dict[uuid.UUID, list[DeliveryTruth]],
    colleagues: Mapping[str, str],
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
        provenance=provenance_of(message, colleagues),
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
