"""Compare what the rows promise with what S3 has, both ways, and mend what can be mended.

S3 lists objects in the order of their names, PostgreSQL the rows in the order of their ids, which are the names: the
two are read side by side, a page at a time, so that millions cost no more memory than a thousand. What differs is
looked at once more before it is told, because mail comes and goes meanwhile: a row may have been written, offloaded or
discarded after its page was read.

    missing       a row whose bytes neither the spool nor S3 has
    wrong_size    an object of another length than its row says
    wrong_hash    bytes that are not those that were put (only with `deep`, which reads everything)
    orphan        an object older than a day without a row
    unreferenced  a row older than a day that nobody refers to, or a pack with bytes that no row refers to
    foreign       an object in our folders that is not named like ours; it is left alone

Repairing deletes orphans and discards unreferenced rows. Missing and damaged bytes are looked for in the spool, the
cache and under other rows with the same hash, and are written again where they are found whole: a blob's own object
under its name, a pack's contents in a new pack, so that the damaged one goes.

Limits: an object that is damaged under its right length is found by `deep` only.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TypeVar

from django.db.models import Exists, F, OuterRef, QuerySet, Sum
from django.db.models.functions import Coalesce

from apps.blobs.discarding import ORPHAN_AGE, discard, id_in, unknown_among, unreferenced_among
from apps.blobs.errors import BlobMissing
from apps.blobs.fetching import cut
from apps.blobs.models import OBJECT_PREFIX, PACK_PREFIX, Blob, DiscardedObject, Pack, SpooledBytes
from apps.blobs.object_store import ObjectStore, StoredObject, object_store
from apps.blobs.repacking import tell_of_hole
from apps.blobs.restoring import is_whole, restore, restore_packed

Row = TypeVar("Row", Blob, Pack)

PAGE_ROWS = 1000


class Trouble(StrEnum):
    MISSING = "missing"
    WRONG_SIZE = "wrong_size"
    WRONG_HASH = "wrong_hash"
    ORPHAN = "orphan"
    UNREFERENCED = "unreferenced"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. `mended`: it is now."""

    trouble: Trouble
    name: str
    mended: bool = False

    @property
    def is_open(self) -> bool:
        """Somebody should look at it. What is not ours is told and no trouble of ours."""
        return not self.mended and self.trouble != Trouble.FOREIGN


class ListingUnordered(Exception):
    """The store does not list its objects in the order of their names, as S3 promises to."""


class _Objects:
    """The listing, taken up to a name at a time."""

    def __init__(self, listing: Iterator[StoredObject]) -> None:
        self._listing = listing
        self._next = next(listing, None)

    def up_to(self, key: str | None) -> Iterator[StoredObject]:
        """The objects not yet taken whose names are not beyond `key`; all that are left for None."""
        while (taken := self._next) is not None and (key is None or taken.key <= key):
            self._next = next(self._listing, None)
            if self._next is not None and self._next.key <= taken.key:
                msg = f"{self._next.key} is listed after {taken.key}"
                raise ListingUnordered(msg)
            yield taken


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One comparison. `now` decides what is young; `deep` reads every byte."""

    now: datetime
    deep: bool = False
    repair: bool = False

    def findings(self) -> Iterator[Finding]:
        """Everything that differs, as it is found. Raises ObjectStoreUnavailable, ListingUnordered."""
        objects = _Objects(object_store().objects(OBJECT_PREFIX))
        for blobs, last in _pages(Blob.objects.all()):
            alone = {blob.pk: blob for blob in blobs if blob.pack_id is None}
            until = None if last is None else f"{OBJECT_PREFIX}{last}"
            yield from self._beside(OBJECT_PREFIX, alone, objects.up_to(until), self._object)
            yield from self._without_object(alone)
            yield from self._unreferenced(blobs)
        objects = _Objects(object_store().objects(PACK_PREFIX))
        for packs, last in _pages(Pack.objects.all()):
            rows = {pack.pk: pack for pack in packs}
            until = None if last is None else f"{PACK_PREFIX}{last}"
            yield from self._beside(PACK_PREFIX, rows, objects.up_to(until), self._pack)
            for pack in rows.values():
                yield from self._broken(pack, Trouble.MISSING)
            yield from self._holes(packs)

    def _beside(
        self,
        prefix: str,
        rows: dict[uuid.UUID, Row],
        objects: Iterable[StoredObject],
        look_at: Callable[[Row, int], Iterator[Finding]],
    ) -> Iterator[Finding]:
        """A page of rows beside the objects of the same range of names; those that have one leave `rows`."""
        strays: list[str] = []
        for stored in objects:
            row_id = id_in(prefix, stored.key)
            if row_id is None:
                yield Finding(Trouble.FOREIGN, stored.key)
            elif (row := rows.pop(row_id, None)) is not None:
                yield from look_at(row, stored.size_bytes)
            elif stored.modified_at < self.now - ORPHAN_AGE:
                strays.append(stored.key)
            if len(strays) >= PAGE_ROWS:
                yield from self._orphans(prefix, strays)
                strays = []
        yield from self._orphans(prefix, strays)

    def _object(self, blob: Blob, size_bytes: int) -> Iterator[Finding]:
        if size_bytes != blob.size_bytes:
            yield from self._confirmed(blob, Trouble.WRONG_SIZE, partial(_size_is_wrong, blob))
        elif self.deep and not is_whole(blob, _pieces(object_store(), blob)):
            yield from self._confirmed(blob, Trouble.WRONG_HASH, lambda: True)

    def _without_object(self, rows: dict[uuid.UUID, Blob]) -> Iterator[Finding]:
        spooled = SpooledBytes.objects.filter(pk__in=rows)
        waiting = set(spooled.values_list("pk", flat=True))
        if self.deep:
            for pk, content in spooled.values_list("pk", "content").iterator(chunk_size=20):
                if not is_whole(rows[pk], [bytes(content)]):
                    yield from self._confirmed(rows[pk], Trouble.WRONG_HASH, lambda: True)
        for blob in (blob for pk, blob in rows.items() if pk not in waiting):
            yield from self._confirmed(blob, Trouble.MISSING, partial(_is_missing, blob))

    def _confirmed(self, blob: Blob, trouble: Trouble, is_still_so: Callable[[], bool]) -> Iterator[Finding]:
        # A row that lies in a pack by now is looked at with its pack.
        if is_still_so() and Blob.objects.filter(pk=blob.pk, pack=None).exists():
            yield Finding(trouble, blob.object_key, mended=self.repair and restore(blob))

    def _pack(self, pack: Pack, size_bytes: int) -> Iterator[Finding]:
        if size_bytes != pack.size_bytes:
            yield from self._broken(pack, Trouble.WRONG_SIZE)
        elif self.deep:
            yield from self._contents(pack)

    def _broken(self, pack: Pack, trouble: Trouble) -> Iterator[Finding]:
        """A pack that is cut or gone, unless nobody needs it any more: it may have been written anew meanwhile."""
        is_broken = object_store().size_of(pack.object_key) != pack.size_bytes
        if is_broken and pack.blobs.exists():
            mended = self.repair and restore_packed(pack, list(pack.blobs.all()))
            yield Finding(trouble, pack.object_key, mended=mended)

    def _contents(self, pack: Pack) -> Iterator[Finding]:
        """The contents of a pack that are not what was put."""
        blobs = list(pack.blobs.all())
        try:
            contents = cut(object_store().get(pack.object_key), 0, blobs)
        except BlobMissing:
            return  # written anew since the listing
        for blob in blobs:
            is_damaged = not is_whole(blob, [contents[blob.pk]])
            if is_damaged and Blob.objects.filter(pk=blob.pk, pack=pack).exists():
                mended = self.repair and restore_packed(pack, [blob])
                yield Finding(Trouble.WRONG_HASH, f"{pack.object_key} {blob.pk}", mended=mended)

    def _orphans(self, prefix: str, keys: Sequence[str]) -> Iterator[Finding]:
        for key in unknown_among(prefix, keys):
            if DiscardedObject.objects.filter(pk=key.removeprefix(prefix)).exists():
                continue  # on its way out
            if self.repair:
                object_store().delete(key)
            yield Finding(Trouble.ORPHAN, key, mended=self.repair)

    def _unreferenced(self, page: Sequence[Blob]) -> Iterator[Finding]:
        old = {blob.pk: blob for blob in page if blob.created_at < self.now - ORPHAN_AGE}
        for pk in sorted(unreferenced_among(old)):
            mended = self.repair and discard([pk]) > 0
            yield Finding(Trouble.UNREFERENCED, f"{OBJECT_PREFIX}{pk}", mended=mended)

    def _holes(self, page: Sequence[Pack]) -> Iterator[Finding]:
        """Packs with bytes that no row refers to, which nobody is about to write anew."""
        old = {pack.pk: pack for pack in page if pack.created_at < self.now - ORPHAN_AGE}
        packs = Pack.objects.filter(pk__in=old).annotate(needed_bytes=Coalesce(Sum("blobs__size_bytes"), 0))
        told = DiscardedObject.objects.filter(pack_id=OuterRef("pk"))
        for pack in packs.filter(~Exists(told), needed_bytes__lt=F("size_bytes")).order_by("pk"):
            if self.repair:
                tell_of_hole(pack)
            yield Finding(Trouble.UNREFERENCED, pack.object_key, mended=self.repair)


def _pages(rows: "QuerySet[Row]") -> Iterator[tuple[list[Row], uuid.UUID | None]]:
    """All rows by their ids, a page at a time, each with the last id in it; None for the last page, which may be
    empty."""
    after = uuid.UUID(int=0)
    while True:
        page = list(rows.filter(pk__gt=after).order_by("pk")[:PAGE_ROWS])
        if len(page) < PAGE_ROWS:
            yield page, None
            return
        after = page[-1].pk
        yield page, after


def _size_is_wrong(blob: Blob) -> bool:
    size_bytes = object_store().size_of(blob.object_key)
    return size_bytes is not None and size_bytes != blob.size_bytes


def _is_missing(blob: Blob) -> bool:
    # S3 first: what is offloaded between the two questions is in S3 before it leaves the spool.
    in_store = object_store().size_of(blob.object_key) is not None
    return not in_store and not SpooledBytes.objects.filter(pk=blob.pk).exists() and _still_not_there(blob)


def _still_not_there(blob: Blob) -> bool:
    """Asked after the spool: it may have been emptied into S3 since the first question."""
    return object_store().size_of(blob.object_key) is None


def _pieces(store: ObjectStore, blob: Blob) -> Iterator[bytes]:
    """An object's bytes; none for one that is gone, which is no whole one."""
    try:
        yield from store.pieces(blob.object_key)
    except BlobMissing:
        return
