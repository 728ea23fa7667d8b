"""Moving the spool to S3, oldest first, many contents at once.

    read     what waits, up to `BYTES_AT_ONCE`, and laid out (`packs`): each organisation's by itself
    put      the objects, side by side
    mark     in one commit: the rows say where their bytes are, their packs are there, the spool rows are gone

A crash before the commit leaves the spool as it was and an object or two without a row, which
`discarding.remove_orphans` deletes after a day; what waits is moved again, under other names. Two offloaders may move
the same: who commits first has moved it, and what the other has in its pack is a hole. So is what was discarded on the
way. A pack with a hole is told to `repacking` in the same commit.

Rows are locked in the order in which `discarding` locks them, the blob's before the spool's.
"""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from apps.blobs import cached
from apps.blobs.models import COPY_AGE, DiscardedObject
from apps.blobs.object_store import object_store
from apps.blobs.packs import Layout, lay_out
from apps.organisations.prepared import executed

AT_ONCE = 4000
BYTES_AT_ONCE = 16 * 1024 * 1024

_WAITING = """
SELECT organisation_id, waiting.id, content FROM (
    SELECT id, organisation_id, sum(size_bytes) OVER (ORDER BY id) - size_bytes AS bytes_before
    FROM (
        SELECT blob_id AS id, organisation_id, size_bytes
        FROM blobs_spooledbytes JOIN blobs_blob ON blobs_blob.id = blob_id ORDER BY blob_id LIMIT %(limit)s
    ) AS oldest
) AS waiting JOIN blobs_spooledbytes ON blob_id = waiting.id
WHERE bytes_before < %(bytes)s ORDER BY waiting.id
"""
# Planned each time: a spool has ten rows now and a hundred thousand then, and one plan moves thousands of them.
# Each part by the answer of the one before: in this order are rows locked.
_MARK = """
WITH pack AS (
    INSERT INTO blobs_pack (id, organisation_id, size_bytes, created_at)
    SELECT asked.id, owner, size_bytes, now()
    FROM unnest(%(packs)s::uuid[], %(owners)s::uuid[], %(pack_bytes)s::bigint[]) AS asked (id, owner, size_bytes)
), stored AS (
    UPDATE blobs_blob SET stored_at = now(), pack_id = asked.pack_id, pack_offset = asked.pack_offset
    FROM unnest(%(ids)s::uuid[], %(in_packs)s::uuid[], %(offsets)s::bigint[]) AS asked (id, pack_id, pack_offset)
    WHERE blobs_blob.id = asked.id AND stored_at IS NULL
    RETURNING blobs_blob.id
)
DELETE FROM blobs_spooledbytes USING stored WHERE blob_id = stored.id RETURNING blob_id
"""


def offload(limit: int = AT_ONCE) -> int:
    """Move up to `limit` spooled contents to S3; the number moved.

    Raises ObjectStoreUnavailable when S3 took none of them; the spool keeps every byte until S3 has it.
    """
    waiting = _waiting(limit)
    if not waiting:
        return 0
    layouts = {
        one.object_key: (owner, one) for owner, some in waiting.items() for one in lay_out(some.items())
    }
    taken = object_store().put_many({key: one.content for key, (_owner, one) in layouts.items()})
    stored = [layouts[key] for key in layouts if key in taken]
    contents = {pk: content for some in waiting.values() for pk, content in some.items()}
    # Before anybody looks for them in S3: a mail that waits for its turn is sent without reading it back.
    cached.remember({pk: contents[pk] for _owner, one in stored for pk in one.offsets})
    with transaction.atomic():
        moved = _mark(stored)
        _tell_of_holes([one for _owner, one in stored], moved)
    return len(moved)


def _waiting(limit: int) -> Mapping[uuid.UUID, Mapping[uuid.UUID, bytes]]:
    """The oldest contents of the spool, by organisation and blob."""
    waiting: defaultdict[uuid.UUID, dict[uuid.UUID, bytes]] = defaultdict(dict)
    with executed(_WAITING, {"limit": limit, "bytes": BYTES_AT_ONCE}, binary=True, prepare=False) as cursor:
        for owner, pk, content in cursor:
            waiting[owner][pk] = content
    return waiting


def _mark(stored: Sequence[tuple[uuid.UUID, Layout]]) -> set[uuid.UUID]:
    """Write where they are; those that were still in the spool."""
    packs = [(one.id, owner, len(one.content)) for owner, one in stored if one.is_pack]
    places = sorted(
        (pk, one.pack_id, offset if one.is_pack else None)
        for _owner, one in stored
        for pk, offset in one.offsets.items()
    )
    parameters = {
        "packs": [pack_id for pack_id, _owner, _size in packs],
        "owners": [owner for _pack, owner, _size in packs],
        "pack_bytes": [size_bytes for _pack, _owner, size_bytes in packs],
        "ids": [pk for pk, _pack, _offset in places],
        "in_packs": [pack_id for _pk, pack_id, _offset in places],
        "offsets": [offset for _pk, _pack, offset in places],
    }
    with executed(_MARK, parameters, prepare=False) as cursor:
        return {pk for (pk,) in cursor}


def _tell_of_holes(layouts: Sequence[Layout], moved: AbstractSet[uuid.UUID]) -> None:
    """What has not been moved by us is in our objects all the same. A pack goes when it is old enough; an object of a
    blob's own name may be the very one that another offloader has marked, and `discarding` looks before it deletes."""
    holed = [one for one in layouts if not moved >= one.offsets.keys()]
    if not holed:
        return
    now = timezone.now()
    DiscardedObject.objects.bulk_create(
        [
            DiscardedObject(
                pk=one.id,
                pack_id=one.pack_id,
                delete_after=now + (COPY_AGE if one.is_pack else timedelta(0)),
            )
            for one in holed
        ],
        ignore_conflicts=True,
    )
