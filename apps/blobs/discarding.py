"""Bytes that nobody refers to any more: the row goes first, then its object.

    nobody's    no row of any room refers to the blob
    discarded   its row is gone, and in the same commit a `DiscardedObject` stands for what S3 still has
    deleted     S3 has deleted it, and the DiscardedObject is gone too; for a content in a pack, see `repacking`

Who takes a reference (`services.put_all`, a foreign key) locks the blob's row against being deleted; `discard` passes
over what is locked, and asks who refers to a row only once it has locked it itself, in a statement of its own, which
sees every reference that was committed before. So a row that somebody is about to share stays, and one that is
discarded is made anew by whoever puts the same content next, under another name: the deletion of the old object cannot
meet the new one.

A crash between the commit and S3 leaves the DiscardedObject, and a clock tries again. `remove_orphans` is the net
below, for what lies in S3 for a day without a row, such as large bytes whose transaction was rolled back.

Limits: Redis may remember a small content for a quarter of an hour after it was discarded, if somebody was reading it
at that moment. What an offloader that was killed, or overtaken by another, had already stored is known to nobody, and
goes when it is a day old.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db import models, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from apps.blobs import cached
from apps.blobs.keeping import unless_kept
from apps.blobs.models import (
    OBJECT_PREFIX,
    PACK_PREFIX,
    Blob,
    DiscardedObject,
    Pack,
    SpooledBytes,
    Thumbnail,
)
from apps.blobs.object_store import object_store

ORPHAN_AGE = timedelta(days=1)
DELETED_AT_ONCE = 200
WALKED_AT_ONCE = 1000


@cache
def _references() -> "tuple[models.ForeignKey[Any, Any], ...]":
    """Every foreign key of any room that wants a blob for its bytes.

    Those are the ones that forbid its deletion (PROTECT); what hangs on a blob (CASCADE) does not count.
    """
    relations = Blob._meta.get_fields(include_hidden=True)  # noqa: SLF001 - Django's, documented
    return tuple(
        relation.field
        for relation in relations
        if isinstance(relation, models.ManyToOneRel) and relation.on_delete is models.PROTECT
    )


def unreferenced_among(blob_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the blobs that no row refers to at this moment."""
    rows = Blob.objects.filter(pk__in=blob_ids)
    for reference in _references():
        rows = rows.exclude(Exists(QuerySet(reference.model).filter(**{reference.name: OuterRef("pk")})))
    return set(rows.values_list("pk", flat=True))


def discard(blob_ids: Collection[uuid.UUID]) -> int:
    """Discard those of the blobs that nobody refers to, and their thumbnails; how many rows went.

    Joins the caller's transaction, in which it sees what the caller has deleted before.
    """
    discarded = 0
    while blob_ids:
        gone, blob_ids = _discard_round(blob_ids)
        discarded += gone
    return discarded


def replace(old: Blob, new: Blob) -> None:
    """Let every row that refers to one blob refer to another, in the caller's transaction."""
    for reference in _references():
        QuerySet(reference.model).filter(**{reference.name: old}).update(**{reference.name: new})


@transaction.atomic
def _discard_round(blob_ids: Collection[uuid.UUID]) -> tuple[int, list[uuid.UUID]]:
    """How many went, and the thumbnails that showed them."""
    candidates = Blob.objects.filter(pk__in=blob_ids).order_by("pk")
    locked = dict(candidates.select_for_update(skip_locked=True).values_list("pk", "pack_id"))
    nobodys = unreferenced_among(locked)
    of_thumbnails = Thumbnail.objects.filter(source__in=nobodys)
    images = list(of_thumbnails.filter(image__isnull=False).values_list("image", flat=True))
    of_thumbnails.delete()
    SpooledBytes.objects.filter(pk__in=nobodys).delete()
    _leave_for_the_store({pk: locked[pk] for pk in nobodys})
    Blob.objects.filter(pk__in=nobodys).delete()
    return len(nobodys), images


def _leave_for_the_store(packs: Mapping[uuid.UUID, uuid.UUID | None]) -> None:
    """What S3 has of discarded rows, each with its pack. A hole in a pack counts from when the pack may be written
    anew."""
    now = timezone.now()
    named = {pack_id for pack_id in packs.values() if pack_id is not None}
    settle_at: dict[uuid.UUID | None, datetime] = {
        pack.pk: pack.settles_at for pack in Pack.objects.filter(pk__in=named)
    }
    DiscardedObject.objects.bulk_create(
        [
            DiscardedObject(pk=pk, pack_id=pack_id, delete_after=max(now, settle_at.get(pack_id, now)))
            for pk, pack_id in packs.items()
        ],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["pack_id", "delete_after"],
    )


@unless_kept
def delete_discarded(limit: int = DELETED_AT_ONCE) -> int:
    """Have S3 delete discarded rows' own objects, oldest first; the number dealt with. Raises ObjectStoreUnavailable.

    What has a row and is in no pack is kept: bytes that were staged, found to be there already, and put again after
    those had gone.
    """
    due = DiscardedObject.objects.filter(pack_id=None, delete_after__lte=timezone.now()).order_by(
        "delete_after"
    )
    ids = list(due.values_list("pk", flat=True)[:limit])
    rows = dict(Blob.objects.filter(pk__in=ids).values_list("pk", "pack_id"))
    cached.forget(pk for pk in ids if pk not in rows)
    for pk in ids:
        if pk not in rows or rows[pk] is not None:
            object_store().delete(f"{OBJECT_PREFIX}{pk}")
        # One by one: a store that goes away in the middle has its answer kept for those before.
        DiscardedObject.objects.filter(pk=pk, pack_id=None).delete()
    return len(ids)


class UnreferencedWalk:
    """Walks the rows from the first to the last, a piece at each call, and discards what nobody has referred to for a
    day. Whoever deletes rows need not think of their bytes.

    The place it has come to is the process's own: a new leader begins at the first row again.
    """

    def __init__(self) -> None:
        self._after = uuid.UUID(int=0)

    def step(self, now: datetime) -> int:
        """Look at the next piece; how many rows went. At the end it begins anew."""
        page = list(
            Blob.objects.filter(pk__gt=self._after)
            .order_by("pk")
            .values_list("pk", "created_at")[:WALKED_AT_ONCE]
        )
        self._after = page[-1][0] if len(page) == WALKED_AT_ONCE else uuid.UUID(int=0)
        old = [pk for pk, created_at in page if created_at < now - ORPHAN_AGE]
        nobodys = unreferenced_among(old)
        return discard(nobodys) if nobodys else 0


@unless_kept
def remove_orphans(now: datetime) -> int:
    """Delete objects older than a day that no row knows; the number deleted."""
    return sum(_remove_orphans(prefix, now) for prefix in (OBJECT_PREFIX, PACK_PREFIX))


def _remove_orphans(prefix: str, now: datetime) -> int:
    removed = 0
    batch: list[str] = []
    for stored in object_store().objects(prefix):
        if stored.modified_at < now - ORPHAN_AGE:
            batch.append(stored.key)
        if len(batch) >= 500:
            removed += _remove_unknown(prefix, batch)
            batch = []
    return removed + _remove_unknown(prefix, batch)


def _remove_unknown(prefix: str, keys: Iterable[str]) -> int:
    unknown = unknown_among(prefix, keys)
    for key in unknown:
        object_store().delete(key)
    return len(unknown)


def unknown_among(prefix: str, keys: Iterable[str]) -> list[str]:
    """Those of the objects that are named like ours and have no row. A content in a pack has no object of its own, and
    will have none again."""
    by_id = {row_id: key for key in keys if (row_id := id_in(prefix, key)) is not None}
    rows = Pack.objects.all() if prefix == PACK_PREFIX else Blob.objects.filter(pack=None)
    known = set(rows.filter(pk__in=list(by_id)).values_list("pk", flat=True))
    return [key for row_id, key in by_id.items() if row_id not in known]


def id_in(prefix: str, key: str) -> uuid.UUID | None:
    """The row an object is named by; None for a name that we never gave."""
    name = key.removeprefix(prefix)
    try:
        row_id = uuid.UUID(name)
    except ValueError:
        return None
    return row_id if str(row_id) == name else None
