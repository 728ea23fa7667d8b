"""Whom a mailbox writes to: learned from the event log, asked with every key that is pressed in To.

    learn     reads `message.submitted` and `message.received` by a cursor of its own: one row for each mailbox and
              address, upserted in the transaction that moves the cursor
    complete  colleagues and teams first, then the newest `RECENT` that match anywhere, then whoever's address or name
              begins so, in all of the mailbox's past

Each question is bounded by the rows it may touch, however many people a mailbox knows: two walks along an index, and
one over the organisation's mailboxes. What lies in Spam teaches nothing, and neither does mail that programs sent.

Limits: a family name is found among the newest `RECENT` only; beyond them, what one types must begin the address or
the whole name. Mail from before the log was kept is not known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from apps.accounts.principal import Principal
from apps.events.models import Event
from apps.events.services import Consumer
from apps.mailboxes.models import Folder, Mailbox, MailboxEntry, Message, MessageKind, Side
from apps.mime.address import comparable_address
from apps.mime.clean import clean_line
from apps.organisations.models import new_id
from apps.writing.models import Correspondent

CONSUMER = "correspondents"
KINDS = ("message.submitted", "message.received")
RECENT = 500
SHOWN = 8
# Of an entry and its message; not its words.
_READ = (
    "organisation", "mailbox", "side", "message__to", "message__cc", "message__bcc", "message__reply_to",
    "message__sender_name", "message__sender_address", "message__received_at",
)  # fmt: skip
MAX_ASKED_CHARS = 100

_UPSERT = """
INSERT INTO writing_correspondent (id, organisation_id, mailbox_id, address, name, wrote_to, last_at)
SELECT * FROM unnest(%(ids)s::uuid[], %(organisations)s::uuid[], %(mailboxes)s::uuid[], %(addresses)s::text[],
                     %(names)s::text[], %(wrote_to)s::int[], %(last_at)s::timestamptz[])
ON CONFLICT (mailbox_id, address) DO UPDATE SET
    name = CASE WHEN EXCLUDED.name <> '' THEN EXCLUDED.name ELSE writing_correspondent.name END,
    wrote_to = writing_correspondent.wrote_to + EXCLUDED.wrote_to,
    last_at = GREATEST(writing_correspondent.last_at, EXCLUDED.last_at)
"""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Somebody to write to. `is_inside`: a colleague or a team of the same organisation."""

    name: str
    address: str
    is_inside: bool = False


def _learn(events: Sequence[Event]) -> None:
    ids = {event.message_id for event in events if event.message_id is not None}
    entries = MailboxEntry.objects.filter(message__in=ids).exclude(folder=Folder.SPAM)
    entries = entries.filter(message__kind=MessageKind.MAIL).select_related("message").only(*_READ)
    met: dict[tuple[Any, str], Correspondent] = {}
    for entry in entries.order_by("message__received_at"):
        for person in _met_in(entry):
            address = comparable_address(person["address"])[:320]
            key = (entry.mailbox_id, address)
            row = met.setdefault(key, _unknown(entry, address))
            row.name = clean_line(person.get("name") or "", 200) or row.name
            row.wrote_to += entry.side == Side.SENDER
            row.last_at = max(row.last_at, entry.message.received_at)
    _upsert(sorted(met.values(), key=lambda row: (row.mailbox_id, row.address)))


learn_correspondents = Consumer(CONSUMER, _learn, only=Q(kind__in=KINDS))


def _met_in(entry: MailboxEntry) -> Iterable[dict[str, str]]:
    message: Message = entry.message
    if entry.side == Side.SENDER:
        people = [*message.to, *message.cc, *message.bcc]
    else:
        people = message.reply_to or [{"name": message.sender_name, "address": message.sender_address}]
    return [one for one in people if "@" in one["address"]]


def _unknown(entry: MailboxEntry, address: str) -> Correspondent:
    return Correspondent(
        organisation_id=entry.organisation_id,
        mailbox_id=entry.mailbox_id,
        address=address,
        last_at=entry.message.received_at,
    )


def _upsert(rows: Sequence[Correspondent]) -> None:
    """In the order of the unique key: two consumers can not be at it, but a restore or a repair may."""
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _UPSERT,
            {
                "ids": [new_id() for _row in rows],
                "organisations": [row.organisation_id for row in rows],
                "mailboxes": [row.mailbox_id for row in rows],
                "addresses": [row.address for row in rows],
                "names": [row.name for row in rows],
                "wrote_to": [row.wrote_to for row in rows],
                "last_at": [row.last_at for row in rows],
            },
        )


def complete(principal: Principal, mailbox: Mailbox, typed: str) -> list[Suggestion]:
    """At most `SHOWN`, best first; none for nothing typed. The caller was given the mailbox."""
    asked = clean_line(typed, MAX_ASKED_CHARS).lower()
    if not asked:
        return []
    found: dict[str, Suggestion] = {}
    for one in _inside(principal, asked):
        found.setdefault(one.address, one)
    for look in (_recent, _by_prefix):
        if len(found) >= SHOWN:
            break
        for row in look(mailbox, asked):
            found.setdefault(row.address, Suggestion(row.name, row.address))
    return list(found.values())[:SHOWN]


def _inside(principal: Principal, asked: str) -> list[Suggestion]:
    own = Mailbox.objects.filter(_begins(asked), organisation_id=principal.organisation_id)
    return [Suggestion(one.name, one.address, is_inside=True) for one in own.order_by("name")[:SHOWN]]


def _recent(mailbox: Mailbox, asked: str) -> list[Correspondent]:
    """Of the newest, those one of whose words begins so; whom the mailbox wrote to before who only wrote to it."""
    newest = Correspondent.objects.filter(mailbox=mailbox).order_by("-last_at")[:RECENT]
    matching = [row for row in newest if _matches(row, asked)]
    return sorted(matching, key=lambda row: -min(row.wrote_to, 3))[:SHOWN]


def _matches(row: Correspondent, asked: str) -> bool:
    name, (local, _at, domain) = row.name.lower(), row.address.partition("@")
    words = (local, row.address, domain, name, *name.replace(",", " ").split(), *local.split("."))
    return any(word.startswith(asked) for word in words)


def _by_prefix(mailbox: Mailbox, asked: str) -> list[Correspondent]:
    rows: QuerySet[Correspondent] = Correspondent.objects.filter(mailbox=mailbox)
    by_address = rows.filter(address__startswith=asked).order_by("address")[:SHOWN]
    by_name = rows.alias(lower_name=Lower("name")).filter(lower_name__startswith=asked).order_by()[:SHOWN]
    return [*by_address, *by_name]


def _begins(asked: str) -> Q:
    return Q(address__istartswith=asked) | Q(name__istartswith=asked) | Q(name__icontains=f" {asked}")
