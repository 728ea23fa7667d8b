"""Take custody of a message the SMTP listener has read to the end.

RFC 5321 §6.1: answering 250 after DATA makes us responsible for the message. So nothing is parsed here, and the 250
waits for one commit that holds the bytes (in the spool, or already in S3 when large) and a ReceivedMessage for each
organisation that has a recipient.

A crash before the commit leaves nothing but, for a large message, an object without a row, and the sender tries again.
A crash between the commit and the 250, or a connection to PostgreSQL that breaks while it commits, makes the sender
repeat a message we have: `recognise_resend` finds it by envelope and content. The wake-up for the workers goes out
after the commit and may be lost; the sweeper finds the row.

Limits: the same bytes from the same envelope within `RESEND_WINDOW` are one message when they come over different
connections. Mail programs give each message its Date and Message-ID; a device that sends its alarm without either
twice within the hour is heard once.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models.functions import Now

from apps.blobs.services import StagedBytes, put, stage
from apps.inbound.models import ReceivedMessage
from apps.inbound.wakeups import wake_ups
from apps.mime.clean import clean_line

# Exim tries again after 15 minutes, sendmail after 30, Postfix after 5 and then ever more slowly.
RESEND_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What SMTP says of a message. `recipients`: by organisation, normalised. `sender` is "" for a bounce."""

    sender: str
    recipients: Mapping[uuid.UUID, tuple[str, ...]]
    peer: str
    helo: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The rows that now keep a message, and the digests by which a repetition of it is recognised."""

    received_ids: tuple[uuid.UUID, ...]
    digests: frozenset[uuid.UUID]

    @property
    def queue_id(self) -> str:
        """What the sender's log may quote to us."""
        return self.received_ids[0].hex


def accept_message(
    envelope: Envelope, raw: bytes, *, now: datetime, acknowledged: frozenset[uuid.UUID] = frozenset()
) -> Accepted:
    """Commit the message for every organisation it is for, or recognise that it is here already.

    `acknowledged`: digests for which this client has read our 250, so that the same again is a new message. Raises
    ObjectStoreUnavailable for a message too large for the spool while S3 is away, and what the database raises; in
    either case nothing was promised.
    """
    # A row's bytes are its organisation's own, so each organisation has them staged for itself.
    staged = {organisation_id: stage(raw) for organisation_id in sorted(envelope.recipients)}
    received_ids: list[uuid.UUID] = []
    digests: set[uuid.UUID] = set()
    with transaction.atomic():
        for organisation_id, content in staged.items():
            digest = digest_of(envelope, organisation_id, content.sha256)
            digests.add(digest)
            known = None if digest in acknowledged else recognise_resend(organisation_id, digest, now=now)
            received_ids.append(known or _keep(envelope, organisation_id, content, digest, now=now))
    return Accepted(tuple(received_ids), frozenset(digests))


def digest_of(envelope: Envelope, organisation_id: uuid.UUID, content_sha256: bytes) -> uuid.UUID:
    """128 bits over sender, this organisation's recipients and content; the order of recipients is nothing."""
    recipients = sorted(envelope.recipients[organisation_id])
    head = "\0".join((envelope.sender, *recipients)).encode("utf-8", "surrogateescape")
    return uuid.UUID(bytes=hashlib.sha256(head + b"\0" + content_sha256).digest()[:16])


def recognise_resend(organisation_id: uuid.UUID, digest: uuid.UUID, *, now: datetime) -> uuid.UUID | None:
    """The row that keeps this very message already, when it came within the window.

    Holds a lock on the digest until the caller's transaction ends: a sender that gave up waiting and tries again while
    its first try still commits must wait for that to be decided.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(digest.bytes[:8], signed=True)])
    return (
        ReceivedMessage.objects.filter(
            organisation_id=organisation_id, envelope_digest=digest, received_at__gt=now - RESEND_WINDOW
        )
        .values_list("pk", flat=True)
        .first()
    )


def _keep(
    envelope: Envelope, organisation_id: uuid.UUID, content: StagedBytes, digest: uuid.UUID, *, now: datetime
) -> uuid.UUID:
    row = ReceivedMessage.objects.create(
        organisation_id=organisation_id,
        raw=put(organisation_id, content),
        envelope_sender=clean_line(envelope.sender, 320),
        recipients=list(envelope.recipients[organisation_id]),
        envelope_digest=digest,
        peer=envelope.peer or None,
        helo=envelope.helo,
        received_at=now,
        due_at=Now(),
    )
    transaction.on_commit(wake_ups.request)
    return row.pk
