"""From raw bytes to a `Message` row: what lists, readers and search need, made once and made again when it must be.

`prepare` does everything that is slow or dangerous, before any transaction: hostile bytes are parsed in a process that
can be killed, and large parts go to S3. `store` only writes rows.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model

from apps.accounts.models import User
from apps.blobs.models import Blob
from apps.blobs.services import StagedBytes, put_all, stage
from apps.mailboxes.contents import contents_of
from apps.mailboxes.filing import Filed
from apps.mailboxes.models import Direction, Message, Part, Thread, digest_of_message_id
from apps.mailboxes.search import marked_words, vector_of
from apps.mime.address import Address
from apps.mime.bounded import default_parser
from apps.mime.filetypes import detect_type
from apps.mime.message import ParsedMessage, ParsedPart
from apps.organisations.inserting import FromText, insert

# 2: `handling`. 3: what stands within: winmail.dat, forwarded messages, invitations, what is encrypted or signed.
# 4: what it wants fetched from elsewhere, counted, with backgrounds.
# 5: what was cut is kept whole beside it; unlabelled words by their language; every word of HTML too big to lay out.
PROJECTION_VERSION = 5
# Most bodies are shorter. In the row they cost no object in S3 and no second question when they are read; what is
# longer would make rows slow that are read for their subject alone.
SHORT_BODY_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class PreparedMessage:
    """A parsed message whose bytes are ready to be put. A body that is None is short, or there is none."""

    parsed: ParsedMessage
    raw: StagedBytes
    text: StagedBytes | None
    html: StagedBytes | None
    parts: tuple[tuple[ParsedPart, StagedBytes], ...]
    # What the bytes of each part say that it is, in the order of `parts`.
    detected_types: tuple[str, ...]
    # Its words, put in order here and not while others wait for the transaction.
    search: FromText


def prepare(
    raw: bytes, *, parsed: ParsedMessage | None = None, staged: StagedBytes | None = None
) -> PreparedMessage:
    """Parse and stage a message. Call it outside any transaction.

    Raises ObjectStoreUnavailable when a part is too large for the spool and S3 is away. Never raises for what the bytes
    say: a message that cannot be parsed is prepared as text with the raw attached.
    """
    parsed = parsed or default_parser().parse(raw)
    return PreparedMessage(
        parsed=parsed,
        raw=staged or stage(raw),
        text=_stage_body(parsed.text),
        html=_stage_body(parsed.html),
        parts=tuple((part, stage(part.data)) for part in parsed.parts),
        detected_types=tuple(detect_type(part.data) for part in parsed.parts),
        search=_search_vector(parsed),
    )


def store(
    prepared: PreparedMessage,
    *,
    organisation_id: uuid.UUID,
    thread: Thread,
    direction: Direction,
    state: str,
    received_at: datetime,
    raw_blob: Blob | None = None,
    filed_because: Filed | None = None,
    envelope_sender: str | None = None,
    machine_turns: int = 0,
    authentication: dict[str, Any] | None = None,
) -> Message:
    """Write the message and its parts, in the caller's transaction. `raw_blob`: the row the raw bytes have already.

    `envelope_sender` is None for a message that no SMTP transaction brought. `authentication` is what `mailauth` found
    out about who sent it, as JSON; None where nobody asked.
    """
    message, rows = draft(
        prepared,
        organisation_id=organisation_id,
        thread=thread,
        direction=direction,
        state=state,
        received_at=received_at,
        raw_blob=raw_blob,
        filed_because=filed_because,
        envelope_sender=envelope_sender,
        machine_turns=machine_turns,
        authentication=authentication,
    )
    insert(*rows)
    return message


def draft(
    prepared: PreparedMessage,
    *,
    organisation_id: uuid.UUID,
    thread: Thread,
    direction: Direction,
    state: str,
    received_at: datetime,
    raw_blob: Blob | None = None,
    bcc: Sequence[Address] = (),
    author: User | None = None,
    filed_because: Filed | None = None,
    tags: Sequence[str] = (),
    metadata: dict[str, Any] | None = None,
    envelope_sender: str | None = None,
    machine_turns: int = 0,
    authentication: dict[str, Any] | None = None,
    blobs: "Blobs | None" = None,
) -> tuple[Message, list[Model]]:
    """Like `store`, but only the bytes are put, unless `blobs` are there: the caller writes the rows, with others of
    its own.

    They are the message, its parts, and its conversation where that begins with it.
    """
    if blobs is None:
        blobs = put_for(organisation_id, [(prepared, raw_blob)])
    message = Message(
        organisation_id=organisation_id,
        thread=thread,
        direction=direction,
        state=state,
        raw=raw_blob or blobs[prepared.raw.sha256],
        received_at=received_at,
        size_bytes=prepared.raw.size_bytes,
        bcc=_rows(bcc),
        envelope_sender=envelope_sender,
        filed=filed_because.as_json() if filed_because is not None else {},
        new_participant=filed_because is not None and filed_because.new_participant,
        machine_turns=machine_turns,
        authentication=authentication,
        author=author,
        tags=list(tags),
        metadata=metadata or {},
        **projected(prepared, blobs),
    )
    parts = [Part(message=message, n=n, **fields) for n, fields in projected_parts(prepared, blobs).items()]
    return message, [*([thread] if thread.is_new else []), message, *parts]


Blobs = dict[bytes, Blob]


def put_for(organisation_id: uuid.UUID, messages: Iterable[tuple[PreparedMessage, Blob | None]]) -> Blobs:
    """Put prepared messages' bytes, in the caller's transaction; the raw ones only of those that have no row yet."""
    wanted: list[StagedBytes] = []
    for prepared, raw_blob in messages:
        wanted += [prepared.raw] if raw_blob is None else []
        wanted += [one for one in (prepared.text, prepared.html) if one]
        wanted += [one for _part, one in prepared.parts]
    if not wanted:
        return {}
    return dict(zip((one.sha256 for one in wanted), put_all(organisation_id, wanted), strict=True))


def projected(prepared: PreparedMessage, blobs: Blobs) -> dict[str, Any]:
    """The fields of a message that its bytes alone decide."""
    parsed = prepared.parsed
    return {
        "kind": parsed.kind.value,
        "text": blobs[prepared.text.sha256] if prepared.text else None,
        "html": blobs[prepared.html.sha256] if prepared.html else None,
        "short_text": "" if prepared.text else parsed.text,
        "short_html": "" if prepared.html else parsed.html,
        "projection_version": PROJECTION_VERSION,
        "rfc_message_id": parsed.message_id,
        "rfc_message_id_digest": digest_of_message_id(parsed.message_id),
        "in_reply_to": list(parsed.in_reply_to),
        "references": list(parsed.references),
        "sender_name": parsed.sender.name,
        "sender_address": parsed.sender.address,
        "to": _rows(parsed.to),
        "cc": _rows(parsed.cc),
        "reply_to": _rows(parsed.reply_to),
        "subject": parsed.subject,
        "date": parsed.date,
        "snippet": parsed.snippet[:200],
        "defects": list(parsed.defects),
        "has_remote_images": parsed.has_remote_images,
        "handling": dict(parsed.handling),
        "contents": contents_of(parsed),
        "search": prepared.search,
    }


def projected_parts(prepared: PreparedMessage, blobs: Blobs) -> dict[int, dict[str, Any]]:
    """The fields of each part that the bytes alone decide, by its number."""
    return {
        part.n: {
            "filename": part.filename[:255],
            "content_type": part.content_type[:255],
            "detected_type": detected[:255],
            "content_id": part.content_id,
            "inline": part.inline,
            "within": part.within,
            "blob": blobs[one.sha256],
        }
        for (part, one), detected in zip(prepared.parts, prepared.detected_types, strict=True)
    }


def _stage_body(body: str) -> StagedBytes | None:
    encoded = body.encode()
    return stage(encoded) if len(encoded) > SHORT_BODY_BYTES else None


def _rows(addresses: Sequence[Address]) -> list[dict[str, str]]:
    return [asdict(address) for address in addresses]


def _search_vector(parsed: ParsedMessage) -> FromText:
    # Never Bcc: whoever received the message could find it by the hidden name.
    sender, *recipients = (f"{one.name} {one.address}" for one in (parsed.sender, *parsed.to, *parsed.cc))
    people = " ".join([sender, *recipients])
    filenames = " ".join(part.filename for part in parsed.parts)
    within = [f"{one.sender.name} {one.subject} {one.text}" for one in parsed.enclosed]
    if parsed.invitation is not None:
        within.append(f"{parsed.invitation.summary} {parsed.invitation.location}")
    marked = marked_words(
        sender=sender,
        recipients=recipients,
        subject=parsed.subject,
        filenames=[part.filename for part in parsed.parts if not part.inline],
    )
    return vector_of(parsed.subject, people, filenames, parsed.text, *within, marked=marked)
