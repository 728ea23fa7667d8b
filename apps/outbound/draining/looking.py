"""What a batch of claims needs to know of its messages, in one look.

A thousand claims a second are prepared. Asked through the ORM, room by room, what they need took five queries and three
instances of models a message; one statement brings it as tuples.

Small bytes that are still in the spool come along. Large ones do not: who needs them reads them when it is their turn.
"""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from apps.blobs.models import Blob
from apps.outbound.screening import Remembered, policy_of
from apps.outbound.signing.sending import Signature
from apps.screening.verdict import Policy

_LOOK = """
SELECT m.id, m.organisation_id, m.sender_address, m.received_at,
    raw.id, raw.size_bytes, raw.stored_at, raw.pack_id, raw.pack_offset, spool.content,
    verdict.outcome, verdict.reason, verdict.version, verdict.tries, verdict.try_again_at,
    signature.fields, signature.selectors, signature.made_at, policy.encrypted_archives,
    EXISTS (
        SELECT FROM mailboxes_mailboxentry AS entry
        WHERE entry.message_id = m.id AND entry.side = 'sender' AND entry.folder = 'outbox'
    )
FROM mailboxes_message AS m
JOIN blobs_blob AS raw ON raw.id = m.raw_id
LEFT JOIN blobs_spooledbytes AS spool ON spool.blob_id = raw.id AND raw.size_bytes <= %(small_bytes)s
LEFT JOIN outbound_outgoingscreening AS verdict ON verdict.message_id = m.id
LEFT JOIN outbound_messagesignature AS signature ON signature.message_id = m.id
LEFT JOIN outbound_sendingpolicy AS policy ON policy.organisation_id = m.organisation_id
WHERE m.id = ANY(%(ids)s::uuid[])
"""


class Seen(NamedTuple):
    """A message as it stands: whose it is, where its bytes are, and what was decided and signed before."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    sender: str
    received_at: datetime
    raw_id: uuid.UUID
    size_bytes: int
    stored_at: datetime | None
    pack_id: uuid.UUID | None
    pack_offset: int | None
    spooled: bytes | None
    verdict: Remembered | None
    signature: Signature | None
    policy: Policy
    is_in_outbox: bool

    @property
    def raw(self) -> Blob:
        return Blob(
            id=self.raw_id,
            size_bytes=self.size_bytes,
            stored_at=self.stored_at,
            pack_id=self.pack_id,
            pack_offset=self.pack_offset,
        )


def look_at(message_ids: Collection[uuid.UUID], *, small_bytes: int) -> list[Seen]:
    """These messages, in no particular order, with the bytes of up to `small_bytes` that the spool has."""
    if not message_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, {"ids": list(message_ids), "small_bytes": small_bytes})
        return [
            Seen._make(
                (
                    *row[:10],
                    Remembered._make(row[10:15]) if row[10] is not None else None,
                    Signature(*row[15:18]) if row[15] is not None else None,
                    policy_of(row[18]),
                    row[19],
                )
            )
            for row in cursor.fetchall()
        ]
