"""Many contents from S3, in as few requests as may be.

What lies near to each other in a pack comes in one piece: mail that arrived together is read together, and a request
costs more than the bytes between.

A row may be older than what became of its bytes: they were moved from the spool, or to another pack. Then the row is
read again, once. More than once cannot happen to a reader of ordinary patience, since no pack moves within
`models.COPY_AGE`.
"""

import uuid
from collections.abc import Iterable, Sequence

from apps.blobs.errors import BlobMissing
from apps.blobs.lean_store import Span
from apps.blobs.models import Blob
from apps.blobs.object_store import object_store

NEAR_BYTES = 32 * 1024


def fetch(blobs: Sequence[Blob]) -> dict[uuid.UUID, bytes]:
    """Their contents, by id. Raises ObjectStoreUnavailable, and BlobMissing for what S3 does not have."""
    moved = {blob.pk for blob in blobs if blob.stored_at is None}
    try:
        return _fetch([*(blob for blob in blobs if blob.pk not in moved), *_read_again(moved)])
    except BlobMissing:
        return _fetch(_read_again({blob.pk for blob in blobs}))


def _read_again(blob_ids: set[uuid.UUID]) -> list[Blob]:
    rows = list(Blob.objects.filter(pk__in=blob_ids)) if blob_ids else []
    if gone := blob_ids - {row.pk for row in rows}:
        raise BlobMissing(str(min(gone)))
    return rows


def _fetch(blobs: Sequence[Blob]) -> dict[uuid.UUID, bytes]:
    alone = [blob for blob in blobs if blob.pack_id is None]
    contents = {}
    if alone:
        fetched = object_store().get_many([blob.object_key for blob in alone])
        contents = {blob.pk: fetched[blob.object_key] for blob in alone}
    packed = gather(blob for blob in blobs if blob.pack_id is not None)
    if packed:
        pieces = object_store().get_spans([span for span in packed if span.length])
        for span, within in packed.items():
            contents |= cut(pieces.get(span, b""), span.start, within)
    return contents


def gather(packed: Iterable[Blob]) -> dict[Span, list[Blob]]:
    """The pieces to ask for, each with the contents within it."""
    spans: dict[Span, list[Blob]] = {}
    for blob in sorted(packed, key=lambda one: (one.object_key, one.pack_offset or 0)):
        start = blob.pack_offset or 0
        span, within = Span(blob.object_key, start, start + blob.size_bytes), list[Blob]()
        last = next(reversed(spans), None)
        if last is not None and last.key == span.key and span.start - last.end <= NEAR_BYTES:
            within = spans.pop(last)
            span = Span(span.key, last.start, max(last.end, span.end))
        within.append(blob)
        spans[span] = within
    return spans


def cut(piece: bytes, start: int, within: Iterable[Blob]) -> dict[uuid.UUID, bytes]:
    """The contents that lie in a piece of a pack, which begins at `start`."""
    view = memoryview(piece)
    contents = {}
    for blob in within:
        offset = (blob.pack_offset or 0) - start
        contents[blob.pk] = bytes(view[offset : offset + blob.size_bytes])
    return contents
