"""What was refused is kept, so that nothing typed is ever lost: here a person mends it, sends it again, or discards it.

A request comes in by one of several doors (REST, the composer, a ticket's answer) and is kept in one shape, the REST
API's JSON, exactly as it was asked: a field of a wrong type and a misspelt name too. Files are taken out of it and kept
as blobs. The caller has got its 422 by then or is about to; a crash before the commit here loses a copy of what they
still have.

What is the same refusal is one row: the same idempotency key (the composer's draft has one, and a person who corrects
two fields one after the other makes one row and not three), or without a key the same content. When a submission under
that key is accepted, or a kept one is sent again, its row is marked as mended and leaves the queue.

Bounds: what a request may hold (30 MiB), `MAX_KEPT` open rows an organisation, the oldest giving way, and 30 days.

Rows that go leave their blobs behind, like every row that shares one: `blobs.discarding` finds them.
"""

import base64
import binascii
import copy
import dataclasses
import hashlib
import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.blobs.models import Blob
from apps.blobs.selectors import read, read_many
from apps.blobs.services import StagedBytes, put_all, stage
from apps.events.notices import announce
from apps.events.services import publish
from apps.mailboxes.addresses import sendable_address
from apps.mailboxes.models import Mailbox, Message
from apps.mime.address import InvalidAddress, normalise_address, parse_addresses
from apps.mime.clean import clean_filename, clean_line
from apps.outbound.errors import NotRetryable, SubmissionInvalid
from apps.outbound.models import Delivery, DeliveryState, RefusedFile, RefusedSubmission
from apps.outbound.submission.asked import Submission
from apps.tickets.models import Ticket

MAX_KEPT = 1000
KEPT_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a refused submission, without its bytes."""

    n: int
    filename: str
    size_bytes: int
    content: Blob


def keep_refused(
    principal: Principal,
    asked: Any,
    error: SubmissionInvalid,
    *,
    now: datetime,
    key: str | None = None,
    mends: RefusedSubmission | None = None,
    ticket: Ticket | None = None,
) -> RefusedSubmission:
    """Keep what was asked, and tell `error` where. `mends`: the kept one that this was to mend; it takes its place.

    `asked` is JSON in the REST API's shape, or what `as_asked` made of a Submission. Raises ObjectStoreUnavailable when
    a large part has no place to go: the caller is told to try again, as with a mail that is right.
    """
    body, files = _without_files(asked)
    content = stage(_written(body))
    staged = [(n, name, stage(data)) for n, name, data in files]
    identity = _identity(key, ticket, content, staged)
    with transaction.atomic():
        blobs = put_all(principal.organisation_id, [content, *(one for _n, _name, one in staged)])
        row = _row(principal, identity, blobs[0], mends, now)
        _describe(row, principal, body, error, now)
        row.ticket = ticket
        if ticket is not None:
            row.mailbox = ticket.mailbox
        row.content = blobs[0]
        row.save()
        row.files.all().delete()
        RefusedFile.objects.bulk_create(
            [
                RefusedFile(refused=row, n=n, filename=name, blob=blob)
                for (n, name, _staged), blob in zip(staged, blobs[1:], strict=True)
            ]
        )
        _make_room(principal.organisation_id)
        publish(
            principal.organisation_id,
            "submission.refused",
            actor=principal.actor,
            refused=str(row.pk),
            cause=row.cause,
        )
        if row.mailbox_id is not None:
            announce([row.mailbox_id], "deliveries")
    error.kept_as = row.pk
    return row


def mark_mended(
    principal: Principal, message: Message, *, key: str | None, mends: RefusedSubmission | None, now: datetime
) -> None:
    """In the submission's transaction: what was kept under its key, or mended by it, has become this message.

    Raises NotRetryable when somebody else was quicker; then nothing is sent twice.
    """
    done = {"mended_at": now, "message": message}
    open_rows = _open(principal.organisation_id)
    if mends is not None and not open_rows.filter(pk=mends.pk).update(**done):
        msg = "It is not in the error queue any more: it was sent or discarded meanwhile."
        raise NotRetryable(msg)
    if key is not None:
        open_rows.filter(actor=principal.actor, identity=_identity_of_key(key)).update(**done)


def reopen_mended(message_ids: Collection[uuid.UUID]) -> None:
    """Recipients of these messages were cancelled. What those were made of that lost all of them, so that nobody got
    anything, is in the error queue again.
    """
    mended = RefusedSubmission.objects.filter(
        message__in=message_ids, mended_at__isnull=False, discarded_at__isnull=True
    )
    for one in mended:
        went_on = Delivery.objects.filter(message=one.message_id).exclude(state=DeliveryState.CANCELLED)
        if not went_on.exists() and not _same(one).exists():
            mended.filter(pk=one.pk).update(mended_at=None, message=None)


def asked_again(refused: RefusedSubmission) -> dict[str, Any]:
    """What was asked, whole again, files in base64. Raises ObjectStoreUnavailable or BlobMissing."""
    body = json.loads(read(refused.content))
    if not isinstance(body, dict):
        return {}
    files = {one.n: one.blob for one in refused.files.select_related("blob")}
    contents = read_many(files.values())
    for n, blob in files.items():
        body["attachments"][n]["content"] = base64.b64encode(contents[blob.pk]).decode()
    return body


def asked_without_files(refused: RefusedSubmission) -> Any:
    """What was asked, each kept file's content left out. Raises ObjectStoreUnavailable or BlobMissing."""
    return json.loads(read(refused.content))


def kept_files(refused: RefusedSubmission) -> list[KeptFile]:
    """The files, in the order of their numbers."""
    return [
        KeptFile(one.n, one.filename, one.blob.size_bytes, one.blob)
        for one in refused.files.select_related("blob")
    ]


def corrected(body: Mapping[str, Any], corrections: Mapping[str, Any]) -> dict[str, Any]:
    """A body with some fields replaced; null takes a field away, which is how a misspelt name is mended."""
    merged = {**body, **corrections}
    return {name: value for name, value in merged.items() if not (name in corrections and value is None)}


def discard_refused(principal: Principal, refused: RefusedSubmission, now: datetime) -> None:
    """Take it out of the error queue. It is kept until its 30 days are over, and `restore_refused` brings it back."""
    with transaction.atomic():
        if not _open(refused.organisation_id).filter(pk=refused.pk).update(discarded_at=now):
            msg = "It is not in the error queue any more."
            raise NotRetryable(msg)
        publish(
            refused.organisation_id, "submission.discarded", actor=principal.actor, refused=str(refused.pk)
        )
        _tell(refused)


def restore_refused(principal: Principal, refused: RefusedSubmission) -> None:
    """Undo a discard. Raises NotRetryable when it was not discarded, or the same was refused again meanwhile."""
    with transaction.atomic():
        gone = RefusedSubmission.objects.filter(
            pk=refused.pk, discarded_at__isnull=False, mended_at__isnull=True
        )
        if _same(refused).exists() or not gone.update(discarded_at=None):
            msg = "It is in the error queue already."
            raise NotRetryable(msg)
        publish(
            refused.organisation_id, "submission.restored", actor=principal.actor, refused=str(refused.pk)
        )
        _tell(refused)


def forget_old_refusals(now: datetime) -> int:
    """Housekeeping: delete what was last refused 30 days ago; how many rows went."""
    return RefusedSubmission.objects.filter(refused_at__lt=now - KEPT_FOR).delete()[0]


def as_asked(submission: Submission) -> dict[str, Any]:
    """A submission in the REST API's shape, without what was not given. Files keep their bytes as bytes."""
    body: dict[str, Any] = {
        "from": submission.sender,
        "headers": dict(submission.headers),
        "attachments": [dataclasses.asdict(one) for one in submission.attachments],
        "metadata": dict(submission.metadata),
        "send_at": submission.send_at.isoformat() if submission.send_at else None,
        "list_unsubscribe": dataclasses.asdict(submission.unsubscribe) if submission.unsubscribe else None,
    }
    for name in ("to", "cc", "bcc", "reply_to", "tags"):
        body[name] = list(getattr(submission, name))
    for name in (
        "subject", "text", "html", "in_reply_to", "hold_seconds", "priority", "cancel_if_replied",
    ):  # fmt: skip
        body[name] = getattr(submission, name)
    return {name: value for name, value in body.items() if value or name == "from"}


# the row


def _open(organisation_id: uuid.UUID) -> QuerySet[RefusedSubmission]:
    """What stands in the error queue: the columns of `refused_open`, the index."""
    return RefusedSubmission.objects.filter(
        organisation=organisation_id, discarded_at__isnull=True, mended_at__isnull=True
    )


def _same(refused: RefusedSubmission) -> QuerySet[RefusedSubmission]:
    """The row there of the same refusal, for one that is not."""
    return _open(refused.organisation_id).filter(actor=refused.actor, identity=refused.identity)


def _row(
    principal: Principal, identity: bytes, content: Blob, mends: RefusedSubmission | None, now: datetime
) -> RefusedSubmission:
    """The open row of this refusal, locked; a new one when there is none."""
    same = _open(principal.organisation_id).select_for_update(of=("self",))
    found = same.filter(pk=mends.pk).first() if mends is not None else None
    found = found or same.filter(actor=principal.actor, identity=identity).first()
    if found is not None:
        found.times += 1
        return found
    fresh = RefusedSubmission(
        organisation_id=principal.organisation_id,
        actor=principal.actor,
        user=principal.user,
        api_key=principal.api_key,
        identity=identity,
        created_at=now,
        refused_at=now,
        content=content,
        times=0,
    )
    # Two equal requests at the same time: the second one waits here for the first to commit, and counts on its row.
    RefusedSubmission.objects.bulk_create([fresh], ignore_conflicts=True)
    found = same.get(actor=principal.actor, identity=identity)
    found.times += 1
    return found


def _describe(
    row: RefusedSubmission, principal: Principal, body: Any, error: SubmissionInvalid, now: datetime
) -> None:
    """What lists show, read from what may be anything."""
    asked = body if isinstance(body, dict) else {}
    recipients = [
        one
        for name in ("to", "cc", "bcc")
        if isinstance(asked.get(name), list)
        for one in asked[name]
        if isinstance(one, str)
    ]
    row.mailbox = _mailbox_of(principal, asked.get("from"))
    row.subject = clean_line(_text(asked.get("subject")), 200)
    row.recipient = clean_line(recipients[0], 254) if recipients else ""
    row.recipients = len(recipients)
    row.cause = error.faults[0].fault
    row.field = clean_line(error.field, 200)
    row.reason = clean_line(error.reason)
    row.faults = [
        {"field": clean_line(one.field, 200), "code": str(one.fault), "detail": clean_line(one.reason)}
        for one in error.faults
    ]
    row.refused_at = now


def _mailbox_of(principal: Principal, written: Any) -> Mailbox | None:
    found = parse_addresses(_text(written)[:1000])
    try:
        row = sendable_address(principal, normalise_address(found[0].address)) if found else None
    except InvalidAddress:
        return None
    return row.mailbox if row is not None else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _tell(refused: RefusedSubmission) -> None:
    if refused.mailbox_id is not None:
        announce([refused.mailbox_id], "deliveries")


def _make_room(organisation_id: uuid.UUID) -> None:
    """The oldest open ones give way. A program that sends nonsense all day must not fill the disk."""
    newest_first = _open(organisation_id).order_by("-created_at", "-id")
    beyond = list(newest_first.values_list("pk", flat=True)[MAX_KEPT : 2 * MAX_KEPT])
    if beyond:
        RefusedSubmission.objects.filter(pk__in=beyond).delete()


# what was asked


def _without_files(asked: Any) -> tuple[Any, list[tuple[int, str, bytes]]]:
    """The JSON without its files' contents, and those: number, name, bytes. A content that is no base64 stays where it
    is: mending it is why it is kept."""
    if not isinstance(asked, dict) or not isinstance(asked.get("attachments"), list | tuple):
        return asked, []
    body = {**asked, "attachments": [copy.copy(one) for one in asked["attachments"]]}
    files = []
    for n, one in enumerate(body["attachments"]):
        if not isinstance(one, dict):
            continue
        data = _bytes_of(one.get("content"))
        if data is not None:
            del one["content"]
            files.append((n, clean_filename(_text(one.get("filename"))), data))
    return body, files


def _bytes_of(content: Any) -> bytes | None:
    if isinstance(content, bytes):
        return content
    try:
        return base64.b64decode("".join(content.split()).encode("ascii"), validate=True)
    except (AttributeError, UnicodeEncodeError, binascii.Error):
        return None


def _written(body: Any) -> bytes:
    try:
        return json.dumps(body).encode()
    except RecursionError:
        # Nested to the edge of what JSON readers take. What is deep in it was no message's; the rest is kept.
        flat = body if isinstance(body, dict) else {}
        return json.dumps(
            {name: one for name, one in flat.items() if not isinstance(one, dict | list)}
        ).encode()


def _identity(
    key: str | None, ticket: Ticket | None, content: StagedBytes, files: list[tuple[int, str, StagedBytes]]
) -> bytes:
    if key is not None:
        return _identity_of_key(key)
    answers = ticket.pk.bytes if ticket is not None else b""
    digests = [content.sha256, *(one.sha256 for _n, _name, one in files)]
    return hashlib.sha256(b"".join([b"content:", answers, *digests])).digest()


def _identity_of_key(key: str) -> bytes:
    return hashlib.sha256(b"key:" + key.encode("utf-8", "backslashreplace")).digest()
