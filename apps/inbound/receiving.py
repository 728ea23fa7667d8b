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
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models.functions import Now

from apps.blobs.models import Blob
from apps.blobs.services import StagedBytes, put_all, stage
from apps.inbound.models import ReceivedMessage
from apps.inbound.wakeups import wake_ups
from apps.mime.clean import clean_line
from apps.organisations.inserting import insert
from apps.organisations.prepared import executed

# Exim tries again after 15 minutes, sendmail after 30, Postfix after 5 and then ever more slowly.
RESEND_WINDOW = timedelta(hours=1)

# In the order of the array, which is everybody's order.
_LOCK = "SELECT pg_advisory_xact_lock(key) FROM unnest(%(keys)s::bigint[]) AS key"
_KNOWN = """
SELECT organisation_id, envelope_digest, id, recipients FROM inbound_receivedmessage
WHERE organisation_id = ANY(%(organisations)s) AND envelope_digest = ANY(%(digests)s) AND received_at > %(since)s
ORDER BY received_at
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


@dataclass(slots=True)
class _Known:
    """Which recipients of which contents we have, and in which row."""

    rows: defaultdict[tuple[uuid.UUID, uuid.UUID], dict[str, uuid.UUID]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def keep(self, organisation_id: uuid.UUID, digest: uuid.UUID, row: uuid.UUID, who: Iterable[str]) -> None:
        self.rows[organisation_id, digest] |= dict.fromkeys(who, row)


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
    with transaction.atomic():
        known = _look_up(batch, digests)
        rows: list[tuple[ReceivedMessage, StagedBytes]] = []
        accepted = [_decide(one, of_one, known, rows) for one, of_one in zip(batch, digests, strict=True)]
        _keep(rows)
        if rows:
            transaction.on_commit(wake_ups.request)
    return accepted


def digest_of(sender: str, content_sha256: bytes) -> uuid.UUID:
    """128 bits over sender and content."""
    head = sender.encode("utf-8", "surrogateescape")
    return uuid.UUID(bytes=hashlib.sha256(head + b"\0" + content_sha256).digest()[:16])


def _look_up(batch: Sequence[Incoming], digests: Sequence[Mapping[uuid.UUID, uuid.UUID]]) -> _Known:
    """What we have of them, once nobody else can be adding to it.

    The locks come first and by themselves: a statement sees what was committed before it began. A sender that gave up
    waiting and tries again while its first try still commits so waits for that to be decided.
    """
    asked = {digest for of_one in digests for digest in of_one.values()}
    keys = sorted(int.from_bytes(digest.bytes[:8], signed=True) for digest in asked)
    with executed(_LOCK, {"keys": keys}):
        pass
    parameters = {
        "organisations": list({owner for of_one in digests for owner in of_one}),
        "digests": list(asked),
        "since": min(one.received_at for one in batch) - RESEND_WINDOW,
    }
    known = _Known()
    with executed(_KNOWN, parameters) as cursor:
        for organisation_id, digest, row, recipients in cursor:
            known.keep(organisation_id, digest, row, recipients)
    return known


def _decide(
    one: Incoming,
    digests: Mapping[uuid.UUID, uuid.UUID],
    known: _Known,
    rows: list[tuple[ReceivedMessage, StagedBytes]],
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
            row = _row(one, owner, wanting, digest)
            known.keep(owner, digest, row.pk, wanting)
            rows.append((row, content))
            received_ids.append(row.pk)
        else:
            received_ids += dict.fromkeys(here[who] for who in asked)
    return Accepted(tuple(received_ids), frozenset(marks))


def _mark(digest: uuid.UUID, recipient: str) -> uuid.UUID:
    return uuid.UUID(bytes=hashlib.sha256(digest.bytes + recipient.encode()).digest()[:16])


def _row(
    one: Incoming, organisation_id: uuid.UUID, recipients: list[str], digest: uuid.UUID
) -> ReceivedMessage:
    envelope = one.envelope
    return ReceivedMessage(
        organisation_id=organisation_id,
        envelope_sender=clean_line(envelope.sender, 320),
        recipients=recipients,
        envelope_digest=digest,
        peer=envelope.peer or None,
        helo=envelope.helo,
        protocol=envelope.protocol,
        tls=envelope.tls,
        host=envelope.host,
        received_at=one.received_at,
        due_at=Now(),
    )


def _keep(rows: Sequence[tuple[ReceivedMessage, StagedBytes]]) -> None:
    """Write bytes and rows, organisation by organisation in one order, so that no two batches wait for each other."""
    by_owner: defaultdict[uuid.UUID, list[tuple[ReceivedMessage, StagedBytes]]] = defaultdict(list)
    for row, content in rows:
        by_owner[row.organisation_id].append((row, content))
    for owner in sorted(by_owner):
        blobs: list[Blob] = put_all(owner, [content for _row, content in by_owner[owner]])
        for (row, _content), blob in zip(by_owner[owner], blobs, strict=True):
            row.raw = blob
    insert(*(row for row, _content in rows))
