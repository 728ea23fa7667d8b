"""A request that is repeated with the same key within a day is answered again and sends nothing again.

The key's row is written in the submission's own transaction: it exists exactly when the message does. Two requests
with one key at the same time meet at the unique index, where the second waits for the first to end. A crash before
the commit leaves neither key nor message, and the repeat is the first.

A mail program has no keys; what it repeats because it lost our 250 is recognised by envelope and content, where the
message has a Message-ID or a Date. Without either nothing tells a repetition from a script that reports the same twice,
and of the two mistakes a mail too many is the lesser.

Keys belong to who sent them (`Principal.actor`), and to one content: another one under the same key is a conflict.
"""

import dataclasses
import hashlib
import json
import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.mailboxes.models import Message
from apps.organisations.models import new_id
from apps.outbound.errors import IdempotencyConflict
from apps.outbound.models import IdempotencyKey

GOOD_FOR = timedelta(hours=24)
RESEND_WINDOW = timedelta(hours=1)

_HEADER_BYTES = 256 * 1024
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_ONE_OF_ITS_OWN = re.compile(rb"^(?:Message-ID|Date):", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as far as repeating it goes. `digest` is SHA-256 of everything the caller asked for; after
    `good_for`, a day at most, the same again is another request."""

    organisation_id: uuid.UUID
    actor: str
    key: str
    digest: bytes
    good_for: timedelta = GOOD_FOR


def request_of(principal: Principal, key: str, *content: Any) -> Request:
    """The request of a caller, by key and content; `content` is dataclasses, ids and plain values."""
    written = json.dumps(content, default=_plain, sort_keys=True)
    return Request(principal.organisation_id, principal.actor, key, hashlib.sha256(written.encode()).digest())


def request_of_mail(
    principal: Principal, sender: str, recipients: Collection[str], raw: bytes, nth: int
) -> Request | None:
    """The request of a mail program, which knows no keys: by envelope and content, for as long as such programs repeat
    what they got no answer to. `nth`: so many equal ones it has had an answer to, on this connection. None for one that
    nothing tells from another of the same words."""
    header = _HEADER_END.split(raw[:_HEADER_BYTES], maxsplit=1)[0]
    if not _ONE_OF_ITS_OWN.search(header):
        return None
    digest = digest_of_mail(sender, recipients, raw)
    key = f"smtp:{nth}:{digest.hex()}"
    return Request(principal.organisation_id, principal.actor, key, digest, RESEND_WINDOW)


def digest_of_mail(sender: str, recipients: Collection[str], raw: bytes) -> bytes:
    """SHA-256 of an envelope and its message; the order of recipients is nothing."""
    head = "\0".join((sender, *sorted(recipients))).encode("utf-8", "surrogateescape")
    return hashlib.sha256(head + b"\0" + hashlib.sha256(raw).digest()).digest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    msg = f"{type(value).__name__} has no place in a request's digest"
    raise TypeError(msg)


def earlier_answer(request: Request, now: datetime) -> Message | None:
    """The message an earlier request with this key made, or None. Raises IdempotencyConflict for another content."""
    row = _rows(request).filter(created_at__gt=now - request.good_for).select_related("message").first()
    if row is None:
        return None
    if bytes(row.body_digest) != request.digest:
        msg = "This idempotency key was used for another request."
        raise IdempotencyConflict(msg)
    return row.message


def claim_key(request: Request, now: datetime) -> uuid.UUID | None:
    """Take the key in the caller's transaction; None when another request has it, which has then committed."""
    _rows(request).filter(created_at__lte=now - request.good_for).delete()
    row_id = new_id()
    IdempotencyKey.objects.bulk_create(
        [
            IdempotencyKey(
                id=row_id,
                organisation_id=request.organisation_id,
                actor=request.actor,
                key=request.key,
                body_digest=request.digest,
                created_at=now,
            )
        ],
        ignore_conflicts=True,
    )
    return row_id if IdempotencyKey.objects.filter(pk=row_id).exists() else None


def note_answer(row_id: uuid.UUID, message: Message) -> None:
    """Remember, in the same transaction, what the request made."""
    IdempotencyKey.objects.filter(pk=row_id).update(message=message)


def forget_old_keys(now: datetime) -> int:
    """Delete keys older than a day; how many."""
    return IdempotencyKey.objects.filter(created_at__lte=now - GOOD_FOR).delete()[0]


def _rows(request: Request) -> QuerySet[IdempotencyKey]:
    return IdempotencyKey.objects.filter(
        organisation_id=request.organisation_id, actor=request.actor, key=request.key
    )
