"""A message on its way is signed once, and its signature is kept, so that its raw bytes can be answered afterwards.

    normalise    the line ends as they go over the wire
    look         a signature that was made already, with the keys that sign today, is used again
    sign         otherwise a new one, made of the message's own time: two workers that carry recipients of one message
                 make the same bytes
    keep         before any recipient's fence

The stored message stays what was submitted. A signature made at submission would be simpler, but a mail may wait for a
year, and a broken signature of a key that was retired meanwhile is worse than none.

The keeping is committed without waiting for the disk. Commits reach it in order, so the fence of the first recipient,
which does wait, makes it durable before the dot: a crash before that leaves a message unsent and unsigned.

Limits: a message some of whose recipients were tried again days later, or after a rotation, has gone out under more
than one signature; the latest is kept.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

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


def signed_for_sending(contents: Mapping[Message, bytes], now: datetime) -> dict[UUID, bytes]:
    """The bytes to send for each of these messages and their stored bytes: signed where the domain has keys.

    Constant in queries: one to look, one to keep. Signing an ordinary mail takes about half a millisecond of CPU.
    """
    ready = {message.pk: with_wire_line_ends(raw) for message, raw in contents.items()}
    keys = {message: keys_of(message) for message in contents}
    to_sign = [message for message in contents if keys[message]]
    known = _known(to_sign)
    made = []
    for message in to_sign:
        signature = known.get(message.pk)
        if signature is None or not _serves(signature, keys[message], now):
            signature = _make(message, ready[message.pk], keys[message], now)
            made.append(signature)
        ready[message.pk] = bytes(signature.fields) + ready[message.pk]
    _keep(made)
    return ready


def keys_of(message: Message) -> tuple[Key, ...]:
    domain = _domain_of(message)
    return keys_for(domain) if domain else ()


def raw_as_sent(principal: Principal, message: Message) -> bytes:
    """The very bytes that were received or, to the sender's side, sent. Raises ObjectStoreUnavailable, BlobMissing."""
    return signature_before(principal, message) + raw_of(message)


def signature_before(principal: Principal, message: Message) -> bytes:
    """The DKIM-Signature fields that were sent before a message's stored bytes; none to who received it here."""
    if message.direction != Direction.OUT or not is_on_senders_side(principal, message):
        return b""
    signature = MessageSignature.objects.filter(pk=message.pk).first()
    return bytes(signature.fields) if signature is not None else b""


def _domain_of(message: Message) -> str:
    try:
        return normalise_address(message.sender_address).rpartition("@")[2]
    except InvalidAddress:
        return ""


def _known(messages: Sequence[Message]) -> dict[UUID, MessageSignature]:
    return MessageSignature.objects.in_bulk([message.pk for message in messages]) if messages else {}


def _serves(signature: MessageSignature, keys: Sequence[Key], now: datetime) -> bool:
    return signature.selectors == _selectors(keys) and now - signature.made_at < RENEWED_AFTER


def _make(message: Message, lines: bytes, keys: Sequence[Key], now: datetime) -> MessageSignature:
    is_recent = timedelta(0) <= now - message.received_at < RENEWED_AFTER
    at = message.received_at if is_recent else now
    fields = signature_fields(lines, _domain_of(message), keys, at=at)
    return MessageSignature(message=message, fields=fields, selectors=_selectors(keys), made_at=at)


def _selectors(keys: Sequence[Key]) -> str:
    return " ".join(key.selector for key in keys)


def _keep(signatures: Sequence[MessageSignature]) -> None:
    if not signatures:
        return
    is_our_own_transaction = not connection.in_atomic_block
    with transaction.atomic():
        if is_our_own_transaction:
            # Not for a caller's: what else that commits may have to be on the disk.
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO off")
        MessageSignature.objects.bulk_create(
            # In one order everywhere: two workers that keep the same ones must not wait for each other.
            sorted(signatures, key=lambda signature: signature.pk),
            update_conflicts=True,
            unique_fields=["message"],
            update_fields=["fields", "selectors", "made_at"],
        )
