"""Packs with holes: what is still needed moves to a new pack, and the old object goes with everything that is in it.

    discarded   a content's row is gone; a `DiscardedObject` names its pack (by `discarding`, `offloading`, `put_all`)
    read        the pack's bytes, and the rows that are left in it; each is compared with its hash
    put         they are a new object
    switched    in one commit, under a lock on the old pack's row: the rows say their new place, the new pack is
                there, the old one is gone
    deleted     S3 has deleted the old object, and the DiscardedObjects are gone

A crash before the commit leaves an object without a row, for `discarding.remove_orphans`; one after it leaves
DiscardedObjects whose pack has no row any more, and its object is deleted by whoever comes next. A content discarded
after the read is a hole in the new pack, which is told in the same commit. One that was put into the old pack after the
read stays there, and the pack with it, until next time. Who reads by an older row finds no object and reads the row
again (`fetching`).

A pack is left alone for `models.COPY_AGE`: whoever staged it may still put some of it, and a pack from which much is
taken is written anew once and not each second. So bytes may outlive their row by ten minutes.

Limits: packs become smaller and are not joined. One whose remaining contents are not what they should be is left as it
is, and tried again after an hour: `reconcile` tells of it and may mend it.
"""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from apps.blobs import cached
from apps.blobs.errors import BlobMissing
from apps.blobs.fetching import cut
from apps.blobs.keeping import unless_kept
from apps.blobs.models import COPY_AGE, PACK_PREFIX, Blob, DiscardedObject, Pack
from apps.blobs.object_store import object_store
from apps.blobs.packs import Layout, pack_of
from apps.organisations.prepared import executed

log = structlog.get_logger(__name__)

PACKS_AT_ONCE = 8
LOOKED_AT_ONCE = 1000
LATER = timedelta(hours=1)

_SWITCH = """
UPDATE blobs_blob SET pack_id = %(new)s, pack_offset = asked.pack_offset
FROM unnest(%(ids)s::uuid[], %(offsets)s::bigint[]) AS asked (id, pack_offset)
WHERE blobs_blob.id = asked.id AND pack_id = %(old)s
RETURNING blobs_blob.id
"""


@unless_kept
def repack_some(limit: int = PACKS_AT_ONCE) -> int:
    """Deal with up to `limit` packs that have holes, the longest waiting first; how many. Raises
    ObjectStoreUnavailable."""
    due = DiscardedObject.objects.filter(pack_id__isnull=False, delete_after__lte=timezone.now())
    named = due.order_by("delete_after").values_list("pack_id", flat=True)[:LOOKED_AT_ONCE]
    packs = [pack_id for pack_id in dict.fromkeys(named) if pack_id is not None][:limit]
    for pack_id in packs:
        try:
            _repack(pack_id)
        except BlobMissing as error:
            log.error("pack_not_whole", pack=str(pack_id), error=str(error))
            DiscardedObject.objects.filter(pack_id=pack_id).update(delete_after=timezone.now() + LATER)
    return len(packs)


def _repack(pack_id: uuid.UUID) -> None:
    holes = list(DiscardedObject.objects.filter(pack_id=pack_id).values_list("pk", flat=True))
    needed = set(Blob.objects.filter(pk__in=holes).values_list("pk", flat=True))
    cached.forget(pk for pk in holes if pk not in needed)
    pack = Pack.objects.filter(pk=pack_id).first()
    if pack is None or (_has_holes(pack) and move(pack, _whole_contents(pack))):
        object_store().delete(f"{PACK_PREFIX}{pack_id}")
    elif _has_holes(pack):
        return  # something was put into it meanwhile: next time
    DiscardedObject.objects.filter(pk__in=[*holes, pack_id]).delete()


def _has_holes(pack: Pack) -> bool:
    return sum(pack.blobs.values_list("size_bytes", flat=True)) < pack.size_bytes


def _whole_contents(pack: Pack) -> dict[uuid.UUID, bytes]:
    """What is left in a pack, by blob. Raises BlobMissing unless all of it is what was put."""
    left = list(pack.blobs.order_by("pack_offset"))
    contents = cut(object_store().get(pack.object_key), 0, left) if left else {}
    for blob in left:
        if hashlib.sha256(contents[blob.pk]).digest() != bytes(blob.sha256):
            raise BlobMissing(f"{blob.pk} in {pack.object_key}")
    return contents


def move(pack: Pack, contents: Mapping[uuid.UUID, bytes]) -> bool:
    """Write these contents of a pack to a new one; whether nothing is left in the old one, whose row is gone then.

    Either way the old one is named by a DiscardedObject. Raises ObjectStoreUnavailable.
    """
    layout = pack_of(contents) if contents else None
    if layout is not None:
        object_store().put(layout.object_key, layout.content)
    with transaction.atomic():
        is_there = Pack.objects.select_for_update().filter(pk=pack.pk).exists()
        if layout is not None:
            _switch(pack, layout)
        tell_of_hole(pack)
        if is_there and pack.blobs.exists():
            return False
        Pack.objects.filter(pk=pack.pk).delete()
    return True


def _switch(old: Pack, layout: Layout) -> None:
    """Let the rows that are still in the old pack say their place in the new one."""
    parameters = {
        "old": old.pk,
        "new": layout.id,
        "ids": list(layout.offsets),
        "offsets": list(layout.offsets.values()),
    }
    with executed(_SWITCH, parameters, prepare=False) as cursor:
        moved = {pk for (pk,) in cursor}
    if moved:
        Pack.objects.create(pk=layout.id, organisation_id=old.organisation_id, size_bytes=len(layout.content))
    if not moved >= layout.offsets.keys():
        # Discarded meanwhile, or moved by somebody else: our copy is nobody's.
        after = timezone.now() + (COPY_AGE if moved else timedelta(0))
        DiscardedObject.objects.create(pk=layout.id, pack_id=layout.id, delete_after=after)


def tell_of_hole(pack: Pack) -> None:
    """Have a pack written anew, or deleted, as soon as it may be."""
    hole = DiscardedObject(pk=pack.pk, pack_id=pack.pk, delete_after=max(timezone.now(), pack.settles_at))
    DiscardedObject.objects.bulk_create([hole], ignore_conflicts=True)
