"""Read received messages again, from the very bytes that came, with what the reader has learned since.

    choose    the messages, in the order they came, a batch of ids at a time
    prepare   bytes, parser, report, as `ingest` has them; who sent it, where that was left open; no transaction open
    project   mailboxes.reprojection, one short transaction a message

Nothing is filed, opened, answered or announced again: no event is published, and no ticket, conversation, folder or
flag changes. Where DNS did not tell who sent a message, it is asked again, and the conversation shows what it says; a
forgery that came in meanwhile is not held any more, for people have read it. It can run while mail comes in. A crash
leaves the messages done so far done; run again, it goes on with those whose projection is old, or after the id it told
last. A message that could only be read as plain text this time, and was read whole before, is left as it is: a busy
machine must not cost anybody an attachment's name.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from django.db import connection
from django.db.models import QuerySet

from apps.blobs.errors import BlobMissing
from apps.blobs.selectors import read
from apps.inbound.authenticity import authenticate
from apps.inbound.models import ReceivedMessage
from apps.mailauth.results import TEMPERROR
from apps.mailboxes.conversations import REPORTS
from apps.mailboxes.models import Direction, Message
from apps.mailboxes.projection import PROJECTION_VERSION, PreparedMessage, prepare
from apps.mailboxes.reprojection import project_again
from apps.mime.bounded import TIMED_OUT, TIMED_OUT_TWICE, WORKER_DIED
from apps.mime.message import MessageKind
from apps.outbound.bounces.arrivals import as_kind, recognise
from apps.outbound.bounces.reading import kind_of

log = structlog.get_logger(__name__)

BATCH = 200
_FALLBACKS = frozenset({TIMED_OUT, TIMED_OUT_TWICE, WORKER_DIED})


@dataclass(frozen=True, slots=True)
class Choice:
    """Which received messages: all of them where nothing is given. `before_version`: only those whose projection is
    older than that. `after`: only those that come after this one, to go on where a run ended.
    """

    message_id: uuid.UUID | None = None
    organisation_id: uuid.UUID | None = None
    since: datetime | None = None
    before_version: int | None = None
    after: uuid.UUID | None = None


@dataclass(slots=True)
class Tally:
    """What a run did. `missing` are messages whose bytes are not where they should be, `left` those that could not be
    read as well as before.
    """

    done: int = 0
    missing: list[uuid.UUID] = field(default_factory=list)
    left: list[uuid.UUID] = field(default_factory=list)
    last: uuid.UUID | None = None


def reingest(choice: Choice) -> Iterator[Tally]:
    """Read the chosen messages again, and tell how far it came after each batch.

    Raises ObjectStoreUnavailable and OperationalError when a server is away; what was done stays done.
    """
    tally = Tally(last=choice.after)
    while ids := _next_ids(choice, tally.last):
        for message_id in ids:
            _reingest_one(message_id, tally)
            tally.last = message_id
        yield tally
        connection.close()  # a run takes hours, and PostgreSQL may be restarted between two batches


def _next_ids(choice: Choice, after: uuid.UUID | None) -> list[uuid.UUID]:
    # Ids are in the order of time (UUIDv7), so a run that goes on meets neither a message twice nor skips one.
    chosen = _chosen(choice)
    if after is not None:
        chosen = chosen.filter(pk__gt=after)
    return list(chosen.order_by("pk").values_list("pk", flat=True)[:BATCH])


def _chosen(choice: Choice) -> QuerySet[Message]:
    messages = Message.objects.filter(direction=Direction.IN)
    if choice.message_id is not None:
        messages = messages.filter(pk=choice.message_id)
    if choice.organisation_id is not None:
        messages = messages.filter(organisation_id=choice.organisation_id)
    if choice.since is not None:
        messages = messages.filter(received_at__gte=choice.since)
    if choice.before_version is not None:
        messages = messages.filter(projection_version__lt=min(choice.before_version, PROJECTION_VERSION))
    return messages


def _reingest_one(message_id: uuid.UUID, tally: Tally) -> None:
    message = Message.objects.select_related("raw").filter(pk=message_id).first()
    if message is None:
        return
    try:
        raw = read(message.raw)
    except BlobMissing:
        log.error("reingest_bytes_missing", message_id=str(message_id))
        tally.missing.append(message_id)
        return
    prepared = _prepare(message, raw)
    if _FALLBACKS.intersection(prepared.parsed.defects) and not _FALLBACKS.intersection(message.defects):
        log.warning("reingest_left_as_it_was", message_id=str(message_id))
        tally.left.append(message_id)
        return
    project_again(message_id, prepared, _sender_by_now(message, raw, prepared))
    tally.done += 1


def _prepare(message: Message, raw: bytes) -> PreparedMessage:
    prepared = prepare(raw)
    if message.kind in REPORTS:
        # It was taken in as a report, and what it told has been acted on.
        return as_kind(prepared, MessageKind(message.kind))
    if message.envelope_sender is None:
        return prepared
    report = recognise(prepared, raw, envelope_sender=message.envelope_sender)
    return as_kind(prepared, kind_of(report)) if report is not None else prepared


def _sender_by_now(message: Message, raw: bytes, prepared: PreparedMessage) -> dict[str, Any] | None:
    """What can be found out about the sender now, where nothing could when it came; None where there is nothing new."""
    if not _was_left_open(message.authentication):
        return None
    rows = ReceivedMessage.objects.all()
    # Filed at once, or released; one question for both would read the whole table.
    received = rows.filter(message=message).first() or rows.filter(held__message=message).first()
    if received is None:
        return None
    found = authenticate(received, raw, prepared.parsed).as_json()
    return None if _was_left_open(found) else found


def _was_left_open(authentication: Mapping[str, Any] | None) -> bool:
    return bool((authentication or {}).get("dmarc", {}).get("result") == TEMPERROR)
