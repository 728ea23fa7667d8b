"""A message on its way is signed once, and its signature is kept, so that its raw bytes can be answered afterwards.

    submitted    what is to leave within a day is signed there: a queue that has grown leaves faster than it came
    look         a signature that was made already, with the keys that sign today, is used again
    sign         otherwise a new one, made of the message's own time: two workers that carry recipients of one message
                 make the same bytes
    keep         before any recipient's fence (`draining.preparing`)

The stored message stays what was submitted, and its signature stands beside it: a mail may wait for a year, and a
broken signature of a key that was retired meanwhile is worse than none.

Limits: a message some of whose recipients were tried again days later, or after a rotation, has gone out under more
than one signature; the latest is kept.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.mailboxes.models import Direction, Message
from apps.mailboxes.selectors import is_on_senders_side, raw_of
from apps.mime.address import InvalidAddress, normalise_address
from apps.outbound.models import MessageSignature
from apps.outbound.signing.keyring import keys_for
from apps.outbound.signing.keys import Key
from apps.outbound.signing.signature import signature_fields
from apps.outbound.wire.payload import with_wire_line_ends

# Well within `signature.VALID_FOR`, so that a receiver who is slow to take a retried mail still finds it valid.
RENEWED_AFTER = timedelta(days=1)

# In one order everywhere: two workers that keep the same ones must not wait for each other.
_KEEP = """
INSERT INTO outbound_messagesignature (message_id, fields, selectors, made_at)
SELECT one.message_id, convert_to(one.fields, 'UTF8'), one.selectors, one.made_at
FROM jsonb_to_recordset(%(signatures)s::jsonb) AS one (
    message_id uuid, fields text, selectors text, made_at timestamptz
)
ORDER BY one.message_id
ON CONFLICT (message_id) DO UPDATE SET
    fields = EXCLUDED.fields, selectors = EXCLUDED.selectors, made_at = EXCLUDED.made_at
"""


@dataclass(frozen=True, slots=True)
class Signature:
    """The DKIM-Signature fields of a message, the keys they were made with, and as of when."""

    fields: bytes
    selectors: str
    made_at: datetime

    def serves(self, keys: Sequence[Key], now: datetime) -> bool:
        """Whether it is good for sending the message once more."""
        return self.selectors == _selectors(keys) and now - self.made_at < RENEWED_AFTER


def signature_for(
    sender: str, received_at: datetime, lines: bytes, kept: Signature | None, now: datetime
) -> Signature | None:
    """What to put before a message's `lines`, as they go over the wire; None where its domain has no keys.

    That is `kept`, the one kept from before, where it still serves. Making one takes a third of a millisecond of CPU.
    """
    domain = _domain_of(sender)
    keys = keys_for(domain) if domain else ()
    if not keys:
        return None
    if kept is not None and kept.serves(keys, now):
        return kept
    at = received_at if timedelta(0) <= now - received_at < RENEWED_AFTER else now
    return Signature(signature_fields(lines, domain, keys, at=at), _selectors(keys), at)


def signature_on_submission(sender: str, raw: bytes, due_at: datetime, now: datetime) -> Signature | None:
    """What a message's raw bytes are signed with as it is submitted; None where that would not last until it is due."""
    if due_at - now >= RENEWED_AFTER:
        return None
    return signature_for(sender, now, with_wire_line_ends(raw), None, now)


def signature_row(message: Message, signature: Signature) -> MessageSignature:
    """What remembers a new message's signature; not written yet."""
    return MessageSignature(
        message=message, fields=signature.fields, selectors=signature.selectors, made_at=signature.made_at
    )


def keep_signatures(signatures: Mapping[UUID, Signature]) -> None:
    """Remember these messages' signatures, in the caller's transaction."""
    if not signatures:
        return
    rows = [
        {
            "message_id": str(message_id),
            "fields": one.fields.decode("ascii"),
            "selectors": one.selectors,
            "made_at": one.made_at.isoformat(),
        }
        for message_id, one in signatures.items()
    ]
    with connection.cursor() as cursor:
        # One piece of JSON: two arrays, of bytes above all, cost 25 µs a signature.
        cursor.execute(_KEEP, {"signatures": json.dumps(rows)})


def raw_as_sent(principal: Principal, message: Message) -> bytes:
    """The very bytes that were received or, to the sender's side, sent. Raises ObjectStoreUnavailable, BlobMissing."""
    return signature_before(principal, message) + raw_of(message)


def signature_before(principal: Principal, message: Message) -> bytes:
    """The DKIM-Signature fields that were sent before a message's stored bytes; none to who received it here."""
    if message.direction != Direction.OUT or not is_on_senders_side(principal, message):
        return b""
    signature = MessageSignature.objects.filter(pk=message.pk).first()
    return bytes(signature.fields) if signature is not None else b""


@functools.lru_cache(maxsize=1024)
def _domain_of(sender: str) -> str:
    try:
        return normalise_address(sender).rpartition("@")[2]
    except InvalidAddress:
        return ""


def _selectors(keys: Sequence[Key]) -> str:
    return " ".join(key.selector for key in keys)
