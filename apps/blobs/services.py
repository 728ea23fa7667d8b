"""Keeping bytes: staged before a transaction, put inside it, moved to S3 after it.

`stage` runs before the caller's transaction opens. Bytes up to `SPOOL_BOUND_BYTES` stay in memory; larger ones go to S3
at once, under the UUID their row will have. `stage_together` takes many to S3 at once, in a pack; whoever finds S3 away
may `stage` them instead. `put_all` runs inside the transaction: the row, for small bytes the spool row, and the pack's
commit together with whatever gives them meaning, so S3 may be away. `offloading` then moves the spool to S3.

A crash after staging leaves at most an object without a row, which `discarding.remove_orphans` deletes after a day. How
bytes go again is told in `discarding`.
"""

import hashlib
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils import timezone

from apps.blobs import cached
from apps.blobs.breaker import Breaker, Resting
from apps.blobs.errors import ObjectStoreUnavailable
from apps.blobs.models import BLOB_COLUMNS, COPY_AGE, OBJECT_PREFIX, Blob, DiscardedObject
from apps.blobs.object_store import object_store
from apps.blobs.packs import Layout, lay_out
from apps.organisations.models import new_id
from apps.organisations.prepared import Question, executed

SPOOL_BOUND_BYTES = 256 * 1024
# The listener's senders wait meanwhile, and the spool would have taken a few milliseconds.
PROMPT_SECONDS = 1.5
REST_SECONDS = 5.0

_PROMPTLY = Breaker(REST_SECONDS)
_COLUMNS = ", ".join(BLOB_COLUMNS)
# `%b`: as they are. As text, bytes in an array would be written in hexadecimal, quoted, and read again. A column that
# nobody has is NULL as a whole, which unnest fills up with.
_PUTTING = f"""
WITH asked AS (
    SELECT id, sha256, size_bytes, content, pack_id, pack_offset, pack_bytes
    FROM unnest(
        %(ids)b::uuid[], %(hashes)b::bytea[], %(sizes)s::bigint[], %(contents)b::bytea[],
        %(packs)b::uuid[], %(offsets)s::bigint[], %(pack_bytes)s::bigint[]
    ) AS one (id, sha256, size_bytes, content, pack_id, pack_offset, pack_bytes)
), written AS (
    INSERT INTO blobs_blob ({_COLUMNS})
    SELECT id, %(organisation)s, sha256, size_bytes, now(), CASE WHEN content IS NULL THEN now() END,
        pack_id, pack_offset
    FROM asked ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
), spooled AS (
    INSERT INTO blobs_spooledbytes (blob_id, content)
    SELECT id, content FROM asked JOIN written USING (id) WHERE content IS NOT NULL
), packed AS (
    INSERT INTO blobs_pack (id, organisation_id, size_bytes, created_at)
    SELECT DISTINCT asked.pack_id, %(organisation)s::uuid, pack_bytes, now() FROM asked JOIN written USING (id)
    WHERE asked.pack_id IS NOT NULL
    ON CONFLICT DO NOTHING
)
"""  # noqa: S608 - names of our own
_PUT = f"{_PUTTING} SELECT {_COLUMNS} FROM written"  # noqa: S608 - likewise
_PUT_NEW = f"{_PUTTING} SELECT count(*) FROM written"  # noqa: S608 - likewise
_SHARE = f"""
SELECT {_COLUMNS} FROM blobs_blob
WHERE organisation_id = %(organisation)s AND sha256 = ANY(%(hashes)s::bytea[])
ORDER BY sha256 FOR KEY SHARE
"""  # noqa: S608 - names of our own


@dataclass(frozen=True, slots=True)
class StagedPack:
    """A pack that S3 has: its name, its bytes, and how many contents they are."""

    id: uuid.UUID
    size_bytes: int
    contents: int


@dataclass(frozen=True, slots=True)
class StagedBytes:
    """Bytes ready to be put.

    `in_store` tells that S3 has them already, in `pack` or else under `id`; `was_put` that they most likely have a row.
    """

    id: uuid.UUID
    sha256: bytes
    content: bytes
    in_store: bool
    pack: StagedPack | None = None
    pack_offset: int | None = None
    was_put: bool = False

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


def stage_together(contents: Sequence[bytes]) -> list[StagedBytes]:
    """Store contents of one organisation in S3, small ones together in a pack, and ready them for `put_all`, in order.

    Raises ObjectStoreUnavailable within `PROMPT_SECONDS` or so, and for `REST_SECONDS` after that at once: `stage` does
    without S3. All are stored, or none counts. What is not put is nobody's, and goes after a day, or ten minutes when
    others of its pack are put.
    """
    digests = [hashlib.sha256(content).digest() for content in contents]
    distinct = {digest: (new_id(), content) for digest, content in zip(digests, contents, strict=True)}
    layouts = list(lay_out(distinct.values()))
    try:
        with _PROMPTLY.asking():
            object_store().put_promptly({one.object_key: one.content for one in layouts}, PROMPT_SECONDS)
    except Resting as resting:
        raise ObjectStoreUnavailable("it did not answer a moment ago") from resting
    cached.remember(dict(distinct.values()))
    places = {blob_id: (_staged_pack(one), one) for one in layouts for blob_id in one.offsets}
    staged = {}
    for digest, (blob_id, content) in distinct.items():
        pack, layout = places[blob_id]
        offset = layout.offsets[blob_id] if pack else None
        staged[digest] = StagedBytes(blob_id, digest, content, in_store=True, pack=pack, pack_offset=offset)
    return [staged[digest] for digest in digests]


def _staged_pack(layout: Layout) -> StagedPack | None:
    return StagedPack(layout.id, len(layout.content), len(layout.offsets)) if layout.is_pack else None


def staged_before(blob: Blob, content: bytes) -> StagedBytes:
    """The bytes of a row that is there: nothing goes over the network for them, nor to PostgreSQL."""
    return StagedBytes(new_id(), bytes(blob.sha256), content, in_store=False, was_put=True)


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
    unknown = {digest for digest, one in fresh.items() if not one.was_put}
    while missing := fresh.keys() - rows.keys():
        if new := missing & unknown:
            rows |= _write(organisation_id, [fresh[digest] for digest in sorted(new)])
        if known := missing - rows.keys():
            rows |= _share(organisation_id, known)
        unknown |= missing
    stored = {one.id: one for one in staged if one.in_store}
    _let_go_of_copies(stored.values(), {row.pk for row in rows.values()})
    return [rows[one.sha256] for one in staged]


def is_plain(staged: Sequence[StagedBytes]) -> bool:
    """Whether `put_new` serves for these: no content comes twice, and no pack has more than what is put."""
    put = Counter(one.pack for one in staged if one.pack is not None)
    return len({one.sha256 for one in staged}) == len(staged) and all(
        many == pack.contents for pack, many in put.items()
    )


def put_new(organisation_id: uuid.UUID, staged: Sequence[StagedBytes]) -> Question:
    """For `executed_together`: write rows for plain contents under their own ids, expecting that none of them is here.

    Answers how many were written. Where it is fewer, the caller takes everything back, and calls `put_all`.
    """
    return _PUT_NEW, _columns(organisation_id, sorted(staged, key=lambda one: one.sha256))


def _let_go_of_copies(stored: Collection[StagedBytes], kept: Collection[uuid.UUID]) -> None:
    """What went to S3 before anybody could know that it is there already: that object, or that piece of a pack, is
    nobody's.

    It is left for a while, because whoever staged it may put it again, or the others of its pack; `discarding` and
    `repacking` look for rows before it goes.
    """
    after = timezone.now() + COPY_AGE
    unneeded = {
        one.id: DiscardedObject(pk=one.id, delete_after=after)
        for one in stored
        if one.pack is None and one.id not in kept
    }
    put = Counter(one.pack for one in stored if one.pack is not None and one.id in kept)
    for pack in {one.pack for one in stored if one.pack is not None}:
        if put[pack] < pack.contents:
            unneeded[pack.id] = DiscardedObject(pk=pack.id, pack_id=pack.id, delete_after=after)
    if unneeded:
        DiscardedObject.objects.bulk_create(unneeded.values(), ignore_conflicts=True)


def _write(organisation_id: uuid.UUID, ordered: Sequence[StagedBytes]) -> dict[bytes, Blob]:
    """The new rows, by hash; contents we have already are not among them."""
    return _by_hash(_PUT, _columns(organisation_id, ordered))


def _columns(organisation_id: uuid.UUID, ordered: Sequence[StagedBytes]) -> dict[str, Any]:
    return {
        "organisation": organisation_id,
        "ids": [one.id for one in ordered],
        "hashes": [one.sha256 for one in ordered],
        "sizes": [one.size_bytes for one in ordered],
        "contents": _column(None if one.in_store else one.content for one in ordered),
        "packs": _column(one.pack and one.pack.id for one in ordered),
        "offsets": _column(one.pack_offset for one in ordered),
        "pack_bytes": _column(one.pack and one.pack.size_bytes for one in ordered),
    }


def _column(values: Iterable[object]) -> list[object] | None:
    column = list(values)
    return None if all(value is None for value in column) else column


def _share(organisation_id: uuid.UUID, digests: Collection[bytes]) -> dict[bytes, Blob]:
    """The rows that have these contents already. Their lock is the one a foreign key takes: until the caller's own rows
    refer to them, nobody discards them."""
    return _by_hash(_SHARE, {"organisation": organisation_id, "hashes": sorted(digests)})


def _by_hash(statement: str, parameters: dict[str, Any]) -> dict[bytes, Blob]:
    with executed(statement, parameters) as cursor:
        rows = [Blob.from_db(connection.alias, BLOB_COLUMNS, row) for row in cursor]
    return {bytes(blob.sha256): blob for blob in rows}
