"""Take custody of messages the SMTP listener has read to the end.

RFC 5321 §6.1: answering 250 after DATA makes us responsible for the message. So nothing is parsed here, and the 250
waits for one commit that holds the bytes (in the spool, or already in S3 when large) and a ReceivedMessage for each
organisation that has a recipient. What many connections bring at the same time goes into one commit (`custody`).

Two organisations' recipients make two rows and two blobs: neither row tells of the other.

What is a repetition is decided for each recipient, under a lock on sender and content that is held until the commit. A
sender that lost our 250 and tries again adds nothing; one that tries again for more recipients, or brings the same mail
to another address in a second transaction, adds those who do not have it.

A crash before the commit leaves nothing but, for a large message, an object without a row, and the sender tries again.
A crash between the commit and the 250, or a connection to PostgreSQL that breaks while it commits, makes the sender
repeat a message we have, which is then found. The wake-up for the workers goes out after the commit and may be lost;
the sweeper finds the row.

Limits: the same bytes from the same sender to the same recipient within `RESEND_WINDOW` are one message when they come
over different connections. Mail programs give each message its Date and Message-ID; a device that sends its alarm
without either twice within the hour is heard once.
"""

import hashlib
import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from apps.blobs.services import StagedBytes, is_plain, put_all, put_new, stage
from apps.inbound.wakeups import wake_ups
from apps.mime.clean import clean_line
from apps.organisations.models import new_id
from apps.organisations.prepared import Question, executed_together

# Exim tries again after 15 minutes, sendmail after 30, Postfix after 5 and then ever more slowly.
RESEND_WINDOW = timedelta(hours=1)

# In the order of the array, which is everybody's order.
_LOCK = "SELECT pg_advisory_xact_lock(key) FROM unnest(%(keys)b::bigint[]) AS key"
_KNOWN = """
SELECT organisation_id, envelope_digest, id, recipients FROM inbound_receivedmessage
WHERE organisation_id = ANY(%(organisations)b) AND envelope_digest = ANY(%(digests)b) AND received_at > %(since)s
ORDER BY received_at
"""
# One parameter, so that the statement is the same however many rows there are, and prepared.
_KEEP = """
INSERT INTO inbound_receivedmessage (
    id, organisation_id, raw_id, envelope_sender, recipients, envelope_digest, peer, helo, protocol, tls, host,
    received_at, state, attempts, due_at, last_error
)
SELECT id, organisation, raw, sender, recipients, digest, peer, helo, protocol, tls, host,
    received_at, 'accepted', 0, now(), ''
FROM json_to_recordset(%(rows)s::json) AS one (
    id uuid, organisation uuid, raw uuid, sender text, recipients text[], digest uuid, peer inet, helo text,
    protocol text, tls text, host text, received_at timestamptz
)
"""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What SMTP says of a message. `recipients`: by organisation, normalised. `sender` is "" for a bounce.

    `protocol` as RFC 3848 names it, `tls` as agreed on, `host`: who of us took it.
    """

    sender: str
    recipients: Mapping[uuid.UUID, tuple[str, ...]]
    peer: str
    helo: str
    protocol: str = "ESMTP"
    tls: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message ready to be committed: its bytes are staged for each organisation.

    `acknowledged`: marks for which this client has read our 250, so that the same again is a new message.
    """

    envelope: Envelope
    staged: Mapping[uuid.UUID, StagedBytes]
    received_at: datetime
    acknowledged: frozenset[uuid.UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The rows that now keep a message, and the marks by which its client's next word on it is understood."""

    received_ids: tuple[uuid.UUID, ...]
    marks: frozenset[uuid.UUID]

    @property
    def queue_id(self) -> str:
        """What the sender's log may quote to us."""
        return self.received_ids[0].hex


Digests = Sequence[Mapping[uuid.UUID, uuid.UUID]]  # of each message, by organisation


@dataclass(slots=True)
class _Known:
    """Which recipients of which contents we have, and in which row."""

    class Repeated(Exception):
        """Something is here already that was taken to be new."""

    rows: defaultdict[tuple[uuid.UUID, uuid.UUID], dict[str, uuid.UUID]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def keep(self, organisation_id: uuid.UUID, digest: uuid.UUID, row: uuid.UUID, who: Iterable[str]) -> None:
        self.rows[organisation_id, digest] |= dict.fromkeys(who, row)


@dataclass(frozen=True, slots=True)
class _Row:
    """A ReceivedMessage to be written."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    content: StagedBytes
    recipients: list[str]
    digest: uuid.UUID
    incoming: Incoming

    def columns(self, raw_id: uuid.UUID) -> dict[str, object]:
        """As `_KEEP` names them."""
        envelope = self.incoming.envelope
        return {
            "id": self.id.hex,
            "organisation": self.organisation_id.hex,
            "raw": raw_id.hex,
            "sender": clean_line(envelope.sender, 320),
            "recipients": self.recipients,
            "digest": self.digest.hex,
            "peer": envelope.peer or None,
            "helo": envelope.helo,
            "protocol": envelope.protocol,
            "tls": envelope.tls,
            "host": envelope.host,
            "received_at": self.incoming.received_at.isoformat(),
        }


def stage_incoming(
    envelope: Envelope, raw: bytes, *, now: datetime, acknowledged: frozenset[uuid.UUID] = frozenset()
) -> Incoming:
    """Hash, and for large messages store, the bytes: a row's bytes are its organisation's own, so each has them staged
    for itself. Raises ObjectStoreUnavailable for a message too large for the spool while S3 is away."""
    staged = {organisation_id: stage(raw) for organisation_id in sorted(envelope.recipients)}
    return Incoming(envelope, staged, now, acknowledged)


def accept_message(
    envelope: Envelope, raw: bytes, *, now: datetime, acknowledged: frozenset[uuid.UUID] = frozenset()
) -> Accepted:
    """Take custody of one message. Raises as `stage_incoming` and the database do; then nothing was promised."""
    return accept_all([stage_incoming(envelope, raw, now=now, acknowledged=acknowledged)])[0]


def accept_all(batch: Sequence[Incoming]) -> list[Accepted]:
    """Commit them for every organisation they are for, together or not at all, leaving out what is here already."""
    digests = [
        {owner: digest_of(one.envelope.sender, content.sha256) for owner, content in one.staged.items()}
        for one in batch
    ]
    accepted = _accept_new(batch, digests)
    if accepted is None:
        accepted = _accept_wanted(batch, digests)
    wake_ups.request()
    return accepted


def _accept_new(batch: Sequence[Incoming], digests: Digests) -> list[Accepted] | None:
    """As if nothing of them were here, which is nearly always so: all is written in one trip, together with the looks
    that would have come before it. None when something was here after all; then nothing has been written."""
    rows: list[_Row] = []
    accepted = _decide_all(batch, digests, _Known(), rows)
    by_owner = _by_owner(rows)
    if not all(is_plain([row.content for row in some]) for some in by_owner.values()):
        return None
    bytes_of = [put_new(owner, [row.content for row in some]) for owner, some in by_owner.items()]
    kept = _question_of(rows, (row.content.id for row in rows))
    with suppress(_Known.Repeated), transaction.atomic():
        _none, known, *written, _none = executed_together(
            *_questions(batch, digests), *bytes_of, kept, unprepared=(_KNOWN,)
        )
        if known or sum(count for ((count,),) in written) < len(rows):
            raise _Known.Repeated
        return accepted
    return None


def _accept_wanted(batch: Sequence[Incoming], digests: Digests) -> list[Accepted]:
    """Look first, and write what somebody has not got yet."""
    with transaction.atomic():
        known = _look_up(batch, digests)
        rows: list[_Row] = []
        accepted = _decide_all(batch, digests, known, rows)
        if rows:
            _keep(rows)
    return accepted


def digest_of(sender: str, content_sha256: bytes) -> uuid.UUID:
    """128 bits over sender and content."""
    head = sender.encode("utf-8", "surrogateescape")
    return uuid.UUID(bytes=hashlib.sha256(head + b"\0" + content_sha256).digest()[:16])


def _look_up(batch: Sequence[Incoming], digests: Digests) -> _Known:
    """What we have of them, once nobody else can be adding to it."""
    known = _Known()
    _none, rows = executed_together(*_questions(batch, digests), unprepared=(_KNOWN,))
    for organisation_id, digest, row, recipients in rows:
        known.keep(organisation_id, digest, row, recipients)
    return known


def _questions(batch: Sequence[Incoming], digests: Digests) -> tuple[Question, Question]:
    """The locks come first and by themselves: a statement sees what was committed before it began. A sender that gave
    up waiting and tries again while its first try still commits so waits for that to be decided.
    """
    asked = {digest for of_one in digests for digest in of_one.values()}
    keys = sorted(int.from_bytes(digest.bytes[:8], signed=True) for digest in asked)
    parameters = {
        "organisations": list({owner for of_one in digests for owner in of_one}),
        "digests": list(asked),
        "since": min(one.received_at for one in batch) - RESEND_WINDOW,
    }
    return (_LOCK, {"keys": keys}), (_KNOWN, parameters)


def _decide_all(
    batch: Sequence[Incoming], digests: Digests, known: _Known, rows: list[_Row]
) -> list[Accepted]:
    return [_decide(one, of_one, known, rows) for one, of_one in zip(batch, digests, strict=True)]


def _decide(
    one: Incoming, digests: Mapping[uuid.UUID, uuid.UUID], known: _Known, rows: list[_Row]
) -> Accepted:
    """Which of its recipients still want it; their rows are added to `rows`."""
    received_ids: list[uuid.UUID] = []
    marks: set[uuid.UUID] = set()
    for owner, content in one.staged.items():
        digest = digests[owner]
        here = known.rows[owner, digest]
        asked = {recipient: _mark(digest, recipient) for recipient in one.envelope.recipients[owner]}
        marks.update(asked.values())
        wanting = [who for who, mark in asked.items() if who not in here or mark in one.acknowledged]
        if wanting:
            row = _Row(new_id(), owner, content, wanting, digest, one)
            known.keep(owner, digest, row.id, wanting)
            rows.append(row)
            received_ids.append(row.id)
        else:
            received_ids += dict.fromkeys(here[who] for who in asked)
    return Accepted(tuple(received_ids), frozenset(marks))


def _mark(digest: uuid.UUID, recipient: str) -> uuid.UUID:
    return uuid.UUID(bytes=hashlib.sha256(digest.bytes + recipient.encode()).digest()[:16])


def _by_owner(rows: Sequence[_Row]) -> dict[uuid.UUID, list[_Row]]:
    """In everybody's order, so that no two batches wait for each other."""
    by_owner: dict[uuid.UUID, list[_Row]] = {
        owner: [] for owner in sorted({row.organisation_id for row in rows})
    }
    for row in rows:
        by_owner[row.organisation_id].append(row)
    return by_owner


def _keep(rows: Sequence[_Row]) -> None:
    """Write them, and their bytes where we do not have those yet."""
    raw_ids = dict[uuid.UUID, uuid.UUID]()
    for owner, some in _by_owner(rows).items():
        blobs = put_all(owner, [row.content for row in some])
        raw_ids |= {row.id: blob.pk for row, blob in zip(some, blobs, strict=True)}
    executed_together(_question_of(rows, (raw_ids[row.id] for row in rows)))


def _question_of(rows: Sequence[_Row], raw_ids: Iterable[uuid.UUID]) -> Question:
    columns = [row.columns(raw_id) for row, raw_id in zip(rows, raw_ids, strict=True)]
    return _KEEP, {"rows": json.dumps(columns)}
