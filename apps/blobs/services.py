"""Keeping bytes: staged before a transaction, put inside it, moved to S3 after it.

`stage` runs before the caller's transaction opens. Bytes up to `SPOOL_BOUND_BYTES` stay in memory; larger ones go to S3
at once, under the UUID their row will have. `put` runs inside the transaction: the row, and for small bytes the spool
row, commit together with whatever gives them meaning, so S3 may be away. `offload` then moves the spool to S3.

A crash after `stage` leaves at most an object without a row, which `remove_orphans` deletes after a day. A crash inside
`offload` leaves the spool row, and the same bytes are written again under the same name.
"""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from apps.blobs import cached
from apps.blobs.models import Blob, SpooledBytes
from apps.blobs.object_store import object_store
from apps.organisations.models import new_id
from apps.organisations.prepared import executed

SPOOL_BOUND_BYTES = 256 * 1024
ORPHAN_AGE = timedelta(days=1)
OBJECT_PREFIX = "blobs/"

_PUT = """
WITH asked AS (
    SELECT id, sha256, size_bytes, content
    FROM unnest(%(ids)s::uuid[], %(hashes)s::bytea[], %(sizes)s::bigint[], %(contents)s::bytea[])
        AS one (id, sha256, size_bytes, content)
), written AS (
    INSERT INTO blobs_blob (id, organisation_id, sha256, size_bytes, created_at, stored_at)
    SELECT id, %(organisation)s, sha256, size_bytes, now(), CASE WHEN content IS NULL THEN now() END FROM asked
    ON CONFLICT DO NOTHING RETURNING id, organisation_id, sha256, size_bytes, created_at, stored_at
), spooled AS (
    INSERT INTO blobs_spooledbytes (blob_id, content)
    SELECT id, content FROM asked JOIN written USING (id) WHERE content IS NOT NULL
)
SELECT id, organisation_id, sha256, size_bytes, created_at, stored_at FROM written
"""
_WRITTEN = ["id", "organisation_id", "sha256", "size_bytes", "created_at", "stored_at"]


@dataclass(frozen=True, slots=True)
class StagedBytes:
    """Bytes ready to be put. `in_store` tells that S3 has them already under `id`."""

    id: uuid.UUID
    sha256: bytes
    content: bytes
    in_store: bool

    @property
    def size_bytes(self) -> int:
        return len(self.content)


def stage(content: bytes) -> StagedBytes:
    """Ready bytes for `put`. Large ones go over the network to S3 now.

    Raises ObjectStoreUnavailable when bytes are too large for the spool and S3 is away.
    """
    blob_id = new_id()
    large = len(content) > SPOOL_BOUND_BYTES
    if large:
        object_store().put(f"{OBJECT_PREFIX}{blob_id}", content)
    return StagedBytes(id=blob_id, sha256=hashlib.sha256(content).digest(), content=content, in_store=large)


def put(organisation_id: uuid.UUID, staged: StagedBytes) -> Blob:
    """Like `put_all`, for one."""
    return put_all(organisation_id, [staged])[0]


def put_all(organisation_id: uuid.UUID, staged: Sequence[StagedBytes]) -> list[Blob]:
    """One row for each, in the caller's transaction and the given order; content we have already is shared.

    Rows are written in the order of their hashes: two transactions that put the same contents in different orders would
    otherwise wait for each other for ever.
    """
    if not staged:
        return []
    fresh = {one.sha256: one for one in staged}
    ordered = [fresh[digest] for digest in sorted(fresh)]
    parameters: dict[str, Any] = {
        "organisation": organisation_id,
        "ids": [one.id for one in ordered],
        "hashes": [one.sha256 for one in ordered],
        "sizes": [one.size_bytes for one in ordered],
        "contents": [None if one.in_store else one.content for one in ordered],
    }
    with executed(_PUT, parameters) as cursor:
        written = [Blob.from_db(connection.alias, _WRITTEN, row) for row in cursor]
    rows = {blob.sha256: blob for blob in written}
    known = fresh.keys() - rows.keys()
    if known:
        shared = Blob.objects.filter(organisation_id=organisation_id, sha256__in=known)
        rows |= {bytes(blob.sha256): blob for blob in shared}
    return [rows[one.sha256] for one in staged]


def offload(limit: int = 200) -> int:
    """Move up to `limit` spooled contents to S3, oldest first; the number moved.

    Raises ObjectStoreUnavailable when S3 took none of them; the spool keeps every byte until S3 has it.
    """
    spooled = SpooledBytes.objects.order_by("pk").values_list("pk", "content")[:limit]
    contents = {pk: bytes(content) for pk, content in spooled}
    if not contents:
        return 0
    stored = object_store().put_many({f"{OBJECT_PREFIX}{pk}": content for pk, content in contents.items()})
    moved = {pk: content for pk, content in contents.items() if f"{OBJECT_PREFIX}{pk}" in stored}
    # Before anybody looks for them in S3: a mail that waits for its turn is sent without reading it back.
    cached.remember(moved)
    with transaction.atomic():
        Blob.objects.filter(pk__in=moved).update(stored_at=Now())
        SpooledBytes.objects.filter(pk__in=moved).delete()
    return len(moved)


def remove_orphans(now: datetime) -> int:
    """Delete objects older than a day that no row knows; the number deleted."""
    removed = 0
    batch: list[str] = []
    for stored in object_store().objects(OBJECT_PREFIX):
        if stored.modified_at < now - ORPHAN_AGE:
            batch.append(stored.key)
        if len(batch) >= 500:
            removed += _remove_unknown(batch)
            batch = []
    return removed + _remove_unknown(batch)


def _remove_unknown(keys: Iterable[str]) -> int:
    by_id = {uuid.UUID(key.removeprefix(OBJECT_PREFIX)): key for key in keys}
    known = set(Blob.objects.filter(pk__in=list(by_id)).values_list("pk", flat=True))
    unknown = [key for blob_id, key in by_id.items() if blob_id not in known]
    for key in unknown:
        object_store().delete(key)
    return len(unknown)
