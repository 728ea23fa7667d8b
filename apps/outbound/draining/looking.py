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
    raw.id, raw.size_bytes, raw.stored_at, spool.content,
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
    raw: Blob
    spooled: bytes | None
    verdict: Remembered | None
    signature: Signature | None
    policy: Policy
    is_in_outbox: bool


def look_at(message_ids: Collection[uuid.UUID], *, small_bytes: int) -> list[Seen]:
    """These messages, in no particular order, with the bytes of up to `small_bytes` that the spool has."""
    if not message_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, {"ids": list(message_ids), "small_bytes": small_bytes})
        return [
            Seen(
                row[0],
                row[1],
                row[2],
                row[3],
                Blob(id=row[4], size_bytes=row[5], stored_at=row[6]),
                bytes(row[7]) if row[7] is not None else None,
                Remembered(*row[8:13]) if row[8] is not None else None,
                Signature(bytes(row[13]), *row[14:16]) if row[13] is not None else None,
                policy_of(row[16]),
                row[17],
            )
            for row in cursor.fetchall()
        ]
