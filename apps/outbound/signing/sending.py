"""A message on its way is signed once, and its signature is kept, so that its raw bytes can be answered afterwards.

    look         a signature that was made already, with the keys that sign today, is used again
    sign         otherwise a new one, made of the message's own time: two workers that carry recipients of one message
                 make the same bytes
    keep         before any recipient's fence (`draining.preparing`)

The stored message stays what was submitted. A signature made at submission would be simpler, but a mail may wait for a
year, and a broken signature of a key that was retired meanwhile is worse than none.

Limits: a message some of whose recipients were tried again days later, or after a rotation, has gone out under more
than one signature; the latest is kept.
"""

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

# Well within `signature.VALID_FOR`, so that a receiver who is slow to take a retried mail still finds it valid.
RENEWED_AFTER = timedelta(days=1)

_KEEP = """
INSERT INTO outbound_messagesignature (message_id, fields, selectors, made_at)
SELECT * FROM unnest(
    %(ids)s::uuid[], %(fields)s::bytea[], %(selectors)s::text[], %(made_at)s::timestamptz[]
)
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


def keep_signatures(signatures: Mapping[UUID, Signature]) -> None:
    """Remember these messages' signatures, in the caller's transaction."""
    if not signatures:
        return
    # In one order everywhere: two workers that keep the same ones must not wait for each other.
    ordered = sorted(signatures.items())
    with connection.cursor() as cursor:
        cursor.execute(
            _KEEP,
            {
                "ids": [message_id for message_id, _one in ordered],
                "fields": [one.fields for _id, one in ordered],
                "selectors": [one.selectors for _id, one in ordered],
                "made_at": [one.made_at for _id, one in ordered],
            },
        )


def raw_as_sent(principal: Principal, message: Message) -> bytes:
    """The very bytes that were received or, to the sender's side, sent. Raises ObjectStoreUnavailable, BlobMissing."""
    return signature_before(principal, message) + raw_of(message)


def signature_before(principal: Principal, message: Message) -> bytes:
    """The DKIM-Signature fields that were sent before a message's stored bytes; none to who received it here."""
    if message.direction != Direction.OUT or not is_on_senders_side(principal, message):
        return b""
    signature = MessageSignature.objects.filter(pk=message.pk).first()
    return bytes(signature.fields) if signature is not None else b""


def _domain_of(sender: str) -> str:
    try:
        return normalise_address(sender).rpartition("@")[2]
    except InvalidAddress:
        return ""


def _selectors(keys: Sequence[Key]) -> str:
    return " ".join(key.selector for key in keys)
