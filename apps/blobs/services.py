"""Keeping bytes: staged before a transaction, put inside it, moved to S3 after it.

`stage` runs before the caller's transaction opens. Bytes up to `SPOOL_BOUND_BYTES` stay in memory; larger ones go to S3
at once, under the UUID their row will have. `put` runs inside the transaction: the row, and for small bytes the spool
row, commit together with whatever gives them meaning, so S3 may be away. `offload` then moves the spool to S3.

A crash after `stage` leaves at most an object without a row, which `discarding.remove_orphans` deletes after a day. A
crash inside `offload` leaves the spool row, and the same bytes are written again under the same name. How bytes go
again is told in `discarding`.
"""

import hashlib
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from apps.blobs import cached
from apps.blobs.models import BLOB_COLUMNS, Blob, DiscardedObject, SpooledBytes
from apps.blobs.object_store import object_store
from apps.organisations.models import new_id
from apps.organisations.prepared import executed

SPOOL_BOUND_BYTES = 256 * 1024
OBJECT_PREFIX = "blobs/"
COPY_AGE = timedelta(minutes=10)

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
_SHARE = """
SELECT id, organisation_id, sha256, size_bytes, created_at, stored_at FROM blobs_blob
WHERE organisation_id = %(organisation)s AND sha256 = ANY(%(hashes)s::bytea[])
ORDER BY sha256 FOR KEY SHARE
"""


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


def staged_before(blob: Blob, content: bytes) -> StagedBytes:
    """The bytes of a row that is there: nothing goes over the network for them."""
    return StagedBytes(id=blob.pk, sha256=bytes(blob.sha256), content=content, in_store=True)


def put(organisation_id: uuid.UUID, staged: StagedBytes) -> Blob:
    """Like `put_all`, for one."""
    return put_all(organisation_id, [staged])[0]


def put_all(organisation_id: uuid.UUID, staged: Sequence[StagedBytes]) -> list[Blob]:
    """One row for each, in the caller's transaction and the given order; content we have already is shared.

    Rows are written in the order of their hashes: two transactions that put the same contents in different orders would
    otherwise wait for each other for ever. What was there already may have been discarded between the two statements;
    then it is written like any other.
    """
    fresh = {one.sha256: one for one in staged}
    rows: dict[bytes, Blob] = {}
    while missing := fresh.keys() - rows.keys():
        rows |= _write(organisation_id, [fresh[digest] for digest in sorted(missing)])
        if known := missing - rows.keys():
            rows |= _share(organisation_id, known)
    _let_go_of_copies([one for one in staged if one.in_store and rows[one.sha256].pk != one.id])
    return [rows[one.sha256] for one in staged]


def _let_go_of_copies(copies: Sequence[StagedBytes]) -> None:
    """Large bytes went to S3 before anybody could know that they are there already: the second object is nobody's.

    It is left for a while, because whoever staged it may put it again; `discarding` looks for its row before it goes.
    """
    unneeded = [DiscardedObject(pk=one.id, delete_after=timezone.now() + COPY_AGE) for one in copies]
    DiscardedObject.objects.bulk_create(unneeded, ignore_conflicts=True)


def _write(organisation_id: uuid.UUID, ordered: Sequence[StagedBytes]) -> dict[bytes, Blob]:
    """The new rows, by hash; contents we have already are not among them."""
    parameters: dict[str, Any] = {
        "organisation": organisation_id,
        "ids": [one.id for one in ordered],
        "hashes": [one.sha256 for one in ordered],
        "sizes": [one.size_bytes for one in ordered],
        "contents": [None if one.in_store else one.content for one in ordered],
    }
    return _by_hash(_PUT, parameters)


def _share(organisation_id: uuid.UUID, digests: Collection[bytes]) -> dict[bytes, Blob]:
    """The rows that have these contents already. Their lock is the one a foreign key takes: until the caller's own rows
    refer to them, nobody discards them."""
    return _by_hash(_SHARE, {"organisation": organisation_id, "hashes": sorted(digests)})


def _by_hash(statement: str, parameters: dict[str, Any]) -> dict[bytes, Blob]:
    with executed(statement, parameters) as cursor:
        rows = [Blob.from_db(connection.alias, BLOB_COLUMNS, row) for row in cursor]
    return {bytes(blob.sha256): blob for blob in rows}


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
        # Ours until the commit, now that they are written. What was discarded while its bytes were on the way has no
        # row, and whoever discarded it may have deleted the object before it was there.
        gone = moved.keys() - set(Blob.objects.filter(pk__in=moved).values_list("pk", flat=True))
        DiscardedObject.objects.bulk_create([DiscardedObject(pk=pk) for pk in gone], ignore_conflicts=True)
    return len(moved)
