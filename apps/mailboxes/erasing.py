"""Somebody else's messages that name the customer: they stay, and name a pseudonym.

The original's bytes are written anew with the pseudonym, because a projection that is made again (`reingest`) would
bring the address back; so are its texts and those files of it that are text. Every row that referred to the old bytes
refers to the new ones. Words inside encoded parts of the original stay as they are, and so does what the others wrote
about the customer without the address.
"""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from apps.blobs import selectors as blobs
from apps.blobs.discarding import discard, replace
from apps.blobs.errors import BlobMissing
from apps.blobs.models import Blob
from apps.blobs.services import StagedBytes, put_all, stage
from apps.mailboxes.models import Message
from apps.mailboxes.search import marked_words, query_of, vector_of
from apps.mailboxes.selectors import text_of
from apps.organisations.erasing import Found, Subject, mentions, rewrite, uuid_after

AT_ONCE = 50
# What is rewritten together is held together, and one message may have 30 MiB.
BYTES_AT_ONCE = 32 * 1024 * 1024
_TEXTUAL = ("text/", "message/")


@dataclass(frozen=True, slots=True)
class _Rewriting:
    """A message and its contents that say the address, each with what it says afterwards."""

    message: Message
    contents: tuple[tuple[Blob, StagedBytes], ...]
    text: str

    @property
    def size_bytes(self) -> int:
        return sum(staged.size_bytes for _old, staged in self.contents)


class SharedMessages:
    """Messages that name the customer and are not theirs alone."""

    name = "shared messages"

    def find(self, subject: Subject, after: str) -> list[Found]:
        place = uuid_after(after)
        while True:
            candidates = _candidates(subject, place)
            found, size_bytes = list[Found](), 0
            for one in candidates:
                if work := _look(subject, one):
                    found.append(Found(str(one.pk), work))
                    size_bytes += work.size_bytes
                if size_bytes > BYTES_AT_ONCE:
                    break
            if found or not candidates:
                return found
            place = candidates[-1].pk

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        for one in found:
            _rewrite(subject, one.work)
        return Counter(rewritten_messages=len(found))


_PEOPLE = ("to", "cc", "bcc", "reply_to")


def _candidates(subject: Subject, place: uuid.UUID) -> list[Message]:
    """Messages whose row says the address, or whose search vector has all its words; the next ones."""
    said, words = mentions(Message, subject), query_of(subject.address)
    if words is not None:
        said |= Q(search=words)
    messages = Message.objects.filter(
        said, organisation_id=subject.organisation_id, received_at__lte=subject.requested_at, pk__gt=place
    )
    # Looked for apart, so that only those are joined with their contents and read whole.
    keys = list(messages.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])
    wanted = Message.objects.filter(pk__in=keys).select_related("raw", "text", "html")
    return list(wanted.prefetch_related("parts__blob").order_by("pk"))


def _look(subject: Subject, message: Message) -> _Rewriting | None:
    contents = []
    for blob in _texts_of(message):
        try:
            content = blobs.read(blob)
        except BlobMissing:
            continue
        redacted = subject.redact_mail(content) if blob == message.raw else subject.redact(content)
        if redacted != content:
            contents.append((blob, stage(redacted)))
    row = " ".join(
        str(one) for one in (message.to, message.cc, message.bcc, message.reply_to, message.sender_address)
    )
    said = f" {row} {message.subject} {message.short_text} {message.short_html} {message.snippet} ".encode()
    if not contents and subject.redact(said) == said:
        return None
    try:
        text = subject.redact(text_of(message).encode()).decode()
    except BlobMissing:
        text = ""
    return _Rewriting(message, tuple(contents), text)


def _texts_of(message: Message) -> Iterator[Blob]:
    yield from {blob.pk: blob for blob in (message.raw, message.text, message.html) if blob}.values()
    for part in message.parts.all():
        if part.content_type.startswith(_TEXTUAL):
            yield part.blob


def _rewrite(subject: Subject, work: _Rewriting) -> None:
    if work.contents:
        fresh = put_all(subject.organisation_id, [staged for _old, staged in work.contents])
        for (old, _staged), new in zip(work.contents, fresh, strict=True):
            replace(old, new)
        discard([old.pk for old, _staged in work.contents])
    rewrite(Message, [work.message.pk], subject)
    row = Message.objects.prefetch_related("parts").get(pk=work.message.pk)
    for field in (*_PEOPLE, "contents"):
        _forget_names(getattr(row, field), subject.pseudonym)
    sender = f"{row.sender_name} {row.sender_address}"
    recipients = [f"{one['name']} {one['address']}" for one in (*row.to, *row.cc)]
    parts = row.parts.all()
    row.search = vector_of(
        row.subject,
        " ".join([sender, *recipients]),
        " ".join(part.filename for part in parts),
        work.text,
        marked=marked_words(
            sender=sender,
            recipients=recipients,
            subject=row.subject,
            filenames=[part.filename for part in parts if not part.inline],
        ),
    )
    row.save(update_fields=[*_PEOPLE, "contents", "search"])


def _forget_names(value: Any, pseudonym: str) -> None:
    """Take the name from whoever has this address, however deep in a JSON column: beside invitations, in forwards."""
    if isinstance(value, list):
        for one in value:
            _forget_names(one, pseudonym)
    elif isinstance(value, dict):
        if value.get("address") == pseudonym:
            value["name"] = ""
        for one in value.values():
            _forget_names(one, pseudonym)
