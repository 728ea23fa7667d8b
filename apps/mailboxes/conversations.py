"""Conversations as lists show them: one row for each thread of a folder, newest first.

The cost of a page does not grow with the mailbox: entries are walked along an index from the page's position, and an
entry counts only when its thread has no newer one in the same folder. A page takes a fixed number of queries.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet, prefetch_related_objects

from apps.accounts.principal import Principal
from apps.mailboxes.models import Folder, Mailbox, MailboxEntry, Message, MessageKind, Side
from apps.mailboxes.selectors import entries_for, visible_mailboxes

PAGE_SIZE = 50
PARTICIPANTS_SHOWN = 3
# What mail systems say about mail is part of no conversation.
REPORTS = (MessageKind.BOUNCE, MessageKind.COMPLAINT)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended: the sorting key of its last row."""

    sorted_at: datetime
    entry_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """One line of a list. `unread`, `starred` and `message_count` speak of the whole conversation in this mailbox."""

    thread_id: uuid.UUID
    entry: MailboxEntry
    latest: Message
    participants: tuple[str, ...]
    message_count: int
    unread: bool
    starred: bool

    @property
    def subject(self) -> str:
        return self.latest.subject

    @property
    def snippet(self) -> str:
        return self.latest.snippet

    @property
    def sorted_at(self) -> datetime:
        return self.entry.sorted_at

    @property
    def has_attachments(self) -> bool:
        return self.latest.has_attachments


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[ConversationRow]
    next: Position | None


def conversations(
    mailbox: Mailbox, folder: Folder, *, before: Position | None = None, limit: int = PAGE_SIZE
) -> Page:
    """One page of a folder, newest conversation first.

    The caller has already been given `mailbox` by `mailbox_for`, which is where visibility is decided.
    """
    # Joined at once: along the index nothing is sorted, so nothing wide is carried about.
    entries = _newest_first(heads(mailbox, folder), before).select_related("message")
    page = list(entries.defer("message__search", "message__short_text", "message__short_html")[: limit + 1])
    prefetch_related_objects(page[:limit], "message__parts")
    return _page(mailbox, page, limit)


def heads(mailbox: Mailbox, folder: Folder) -> QuerySet[MailboxEntry]:
    """The newest entry of each thread in a folder."""
    newer = MailboxEntry.objects.filter(
        Q(sorted_at__gt=OuterRef("sorted_at")) | Q(sorted_at=OuterRef("sorted_at"), id__gt=OuterRef("id")),
        mailbox=OuterRef("mailbox"),
        thread=OuterRef("thread"),
        folder=OuterRef("folder"),
    )
    return MailboxEntry.objects.filter(~Exists(newer), mailbox=mailbox, folder=folder)


def conversations_among(
    mailbox: Mailbox,
    entries: QuerySet[MailboxEntry],
    *,
    before: Position | None = None,
    limit: int = PAGE_SIZE,
) -> Page:
    """One page of the conversations that have any of these entries of the mailbox, each where its newest one stands."""
    found: dict[uuid.UUID, MailboxEntry] = {}
    earlier: set[uuid.UUID] = set()
    while len(found) <= limit:
        # Who has been met is not met again: a conversation of thousands of messages costs one more question.
        rest = _newest_first(entries.exclude(thread__in=[*found, *earlier]), before)
        batch = list(rest[: 2 * limit + 1])
        earlier |= _shown_before(entries, {entry.thread_id for entry in batch}, before)
        for entry in batch:
            if entry.thread_id not in earlier:
                found.setdefault(entry.thread_id, entry)
        if len(batch) <= 2 * limit:
            break
    page = list(found.values())[: limit + 1]
    messages = Message.objects.defer("search", "short_html").prefetch_related("parts")
    prefetch_related_objects(page[:limit], Prefetch("message", queryset=messages))
    return _page(mailbox, page, limit)


def _shown_before(
    entries: QuerySet[MailboxEntry], thread_ids: Collection[uuid.UUID], before: Position | None
) -> set[uuid.UUID]:
    """Those threads that have a newer one of the entries, and so stand on an earlier page."""
    if before is None or not thread_ids:
        return set()
    newer = entries.filter(
        Q(sorted_at__gt=before.sorted_at) | Q(sorted_at=before.sorted_at, id__gte=before.entry_id),
        thread__in=thread_ids,
    )
    return set(newer.order_by().values_list("thread_id", flat=True).distinct())


def _newest_first(entries: QuerySet[MailboxEntry], before: Position | None) -> QuerySet[MailboxEntry]:
    if before is not None:
        entries = entries.filter(
            Q(sorted_at__lt=before.sorted_at) | Q(sorted_at=before.sorted_at, id__lt=before.entry_id),
            sorted_at__lte=before.sorted_at,
        )
    return entries.order_by("-sorted_at", "-id")


def _page(mailbox: Mailbox, entries: Sequence[MailboxEntry], limit: int) -> Page:
    """A page of entries of which one more than its limit was asked for."""
    shown = entries[:limit]
    more = Position(shown[-1].sorted_at, shown[-1].pk) if len(entries) > limit else None
    return Page(rows=_rows(mailbox, shown), next=more)


def _rows(mailbox: Mailbox, heads: Sequence[MailboxEntry]) -> list[ConversationRow]:
    thread_ids = [entry.thread_id for entry in heads]
    in_mailbox = MailboxEntry.objects.filter(mailbox=mailbox, thread__in=thread_ids)
    counts = {
        row["thread"]: row
        for row in in_mailbox.values("thread").annotate(
            messages=Count("message", distinct=True, filter=~Q(message__kind__in=REPORTS)),
            unread=Count("id", filter=Q(is_read=False)),
            starred=Count("id", filter=Q(is_starred=True)),
        )
    }
    participants = _participants(in_mailbox)
    return [
        ConversationRow(
            thread_id=entry.thread_id,
            entry=entry,
            latest=entry.message,
            participants=participants.get(entry.thread_id, ()),
            message_count=max(1, counts[entry.thread_id]["messages"]),
            unread=counts[entry.thread_id]["unread"] > 0,
            starred=counts[entry.thread_id]["starred"] > 0,
        )
        for entry in heads
    ]


def _participants(entries: QuerySet[MailboxEntry]) -> dict[uuid.UUID, tuple[str, ...]]:
    """Who wrote, newest first; for a conversation in which only we wrote, whom we wrote to."""
    wrote: dict[uuid.UUID, list[str]] = defaultdict(list)
    were_written_to: dict[uuid.UUID, list[str]] = defaultdict(list)
    reported: dict[uuid.UUID, list[str]] = defaultdict(list)
    sender = ("message__sender_name", "message__sender_address")
    fields = ("thread_id", "side", "message__kind", *sender, "message__to")
    # A conversation of a thousand messages is named by its last ones.
    newest_first = entries.order_by("-sorted_at").values_list(*fields)[:2000]
    for thread_id, side, kind, name, address, recipients in newest_first:
        if kind in REPORTS:
            _add(reported[thread_id], name or address)
        elif side == Side.RECIPIENT:
            _add(wrote[thread_id], name or address)
        else:
            for recipient in recipients[:PARTICIPANTS_SHOWN]:
                _add(were_written_to[thread_id], recipient["name"] or recipient["address"])
    return {
        thread_id: tuple(wrote[thread_id] or were_written_to[thread_id] or reported[thread_id])
        for thread_id in wrote.keys() | were_written_to.keys() | reported.keys()
    }


def _add(names: list[str], name: str) -> None:
    if name and name not in names and len(names) < PARTICIPANTS_SHOWN:
        names.append(name)


@dataclass(frozen=True, slots=True)
class Outlined:
    """One message of a conversation in a mailbox, as little as is needed to decide whether it is shown."""

    message_id: uuid.UUID
    received_at: datetime
    state: str
    side: str
    folder: str
    is_read: bool
    is_starred: bool


def outline(mailbox: Mailbox, thread_id: uuid.UUID) -> list[Outlined]:
    """A thread's entries in one mailbox, oldest message first; a mail to oneself has two. One query, however many."""
    entries = MailboxEntry.objects.filter(mailbox=mailbox, thread_id=thread_id)
    fields = (
        "message_id",
        "message__received_at",
        "message__state",
        "side",
        "folder",
        "is_read",
        "is_starred",
    )
    return [
        Outlined(*row) for row in entries.order_by("message__received_at", "message_id").values_list(*fields)
    ]


def conversation(
    principal: Principal, mailbox: Mailbox, thread_id: uuid.UUID, only: Collection[uuid.UUID] | None = None
) -> list[Message]:
    """A thread's messages in one mailbox, oldest first, each once, with parts and the caller's entries at hand; of them
    `only` those named. Empty when the mailbox holds nothing of that thread.
    """
    in_mailbox = MailboxEntry.objects.filter(mailbox=mailbox, thread_id=thread_id, message=OuterRef("pk"))
    messages = Message.objects.filter(Exists(in_mailbox), thread_id=thread_id)
    if only is not None:
        messages = messages.filter(pk__in=only)
    return list(
        messages.select_related("raw", "text", "html", "author")
        .prefetch_related(
            "parts__blob__thumbnail",
            Prefetch(
                "entries",
                queryset=entries_for(principal).select_related("mailbox"),
                to_attr="visible_entries",
            ),
        )
        .order_by("received_at", "id")
    )


def folder_counts(principal: Principal) -> dict[uuid.UUID, dict[str, int]]:
    """For each visible mailbox: conversations-to-be-read in Inbox and Spam, what waits in Outbox, and of what was sent
    that of which something is to be told: it is late, or lost.
    """
    counts: dict[uuid.UUID, dict[str, int]] = defaultdict(dict)
    entries = MailboxEntry.objects.filter(mailbox__in=visible_mailboxes(principal).order_by())
    # Asked as two, or PostgreSQL would read every row that is meant: each has an index that says all of it.
    unread = entries.filter(folder__in=[Folder.INBOX, Folder.SPAM, Folder.SENT], is_read=False)
    waiting = entries.filter(folder=Folder.OUTBOX)
    unread_counts, waiting_counts = (
        asked.values("mailbox", "folder").annotate(n=Count("thread", distinct=True))
        for asked in (unread, waiting)
    )
    rows = unread_counts.union(waiting_counts, all=True)
    for row in rows:
        counts[row["mailbox"]][row["folder"]] = row["n"]
    return dict(counts)
