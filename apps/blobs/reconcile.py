"""Compare what the rows promise with what S3 has, both ways, and mend what can be mended.

S3 lists objects in the order of their names, PostgreSQL the rows in the order of their ids, which are the names: the
two are read side by side, a page at a time, so that millions cost no more memory than a thousand. What differs is
looked at once more before it is told, because mail comes and goes meanwhile: a row may have been written, offloaded or
discarded after its page was read.

    missing       a row whose bytes neither the spool nor S3 has
    wrong_size    an object of another length than its row says
    wrong_hash    bytes that are not those that were put (only with `deep`, which reads everything)
    orphan        an object older than a day without a row
    unreferenced  a row older than a day that nobody refers to
    foreign       an object in our folder that is not named like ours; it is left alone

Repairing deletes orphans and discards unreferenced rows. Missing and damaged bytes are looked for in the spool, the
cache and under other rows with the same hash, and are written again where they are found whole.

Limits: an object that is damaged under its right length is found by `deep` only.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial

from django.db import transaction

from apps.blobs import cached
from apps.blobs.discarding import ORPHAN_AGE, blob_id_of, discard, unknown_among, unreferenced_among
from apps.blobs.errors import BlobError, BlobMissing, ObjectStoreUnavailable
from apps.blobs.models import Blob, DiscardedObject, SpooledBytes
from apps.blobs.object_store import ObjectStore, StoredObject, object_store
from apps.blobs.services import OBJECT_PREFIX

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
        after = uuid.UUID(int=0)
        while True:
            page = list(Blob.objects.filter(pk__gt=after).order_by("pk")[:PAGE_ROWS])
            is_last = len(page) < PAGE_ROWS
            yield from self._piece(page, objects.up_to(None if is_last else page[-1].object_key))
            yield from self._unreferenced(page)
            if is_last:
                return
            after = page[-1].pk

    def _piece(self, page: Sequence[Blob], objects: Iterable[StoredObject]) -> Iterator[Finding]:
        """A page of rows beside the objects of the same range of names."""
        rows = {blob.pk: blob for blob in page}
        strays: list[str] = []
        for stored in objects:
            blob_id = blob_id_of(stored.key)
            if blob_id is None:
                yield Finding(Trouble.FOREIGN, stored.key)
            elif (blob := rows.pop(blob_id, None)) is not None:
                yield from self._object(blob, stored.size_bytes)
            elif stored.modified_at < self.now - ORPHAN_AGE:
                strays.append(stored.key)
            if len(strays) >= PAGE_ROWS:
                yield from self._orphans(strays)
                strays = []
        yield from self._orphans(strays)
        yield from self._without_object(rows)

    def _object(self, blob: Blob, size_bytes: int) -> Iterator[Finding]:
        if size_bytes != blob.size_bytes:
            yield from self._confirmed(blob, Trouble.WRONG_SIZE, partial(_size_is_wrong, blob))
        elif self.deep and not _is_whole(blob, _pieces(object_store(), blob)):
            yield from self._confirmed(blob, Trouble.WRONG_HASH, lambda: True)

    def _without_object(self, rows: dict[uuid.UUID, Blob]) -> Iterator[Finding]:
        spooled = SpooledBytes.objects.filter(pk__in=rows)
        waiting = set(spooled.values_list("pk", flat=True))
        if self.deep:
            for pk, content in spooled.values_list("pk", "content").iterator(chunk_size=20):
                if not _is_whole(rows[pk], [bytes(content)]):
                    yield from self._confirmed(rows[pk], Trouble.WRONG_HASH, lambda: True)
        for blob in (blob for pk, blob in rows.items() if pk not in waiting):
            yield from self._confirmed(blob, Trouble.MISSING, partial(_is_missing, blob))

    def _confirmed(self, blob: Blob, trouble: Trouble, is_still_so: Callable[[], bool]) -> Iterator[Finding]:
        if is_still_so() and Blob.objects.filter(pk=blob.pk).exists():
            yield Finding(trouble, blob.object_key, mended=self.repair and _restore(blob))

    def _orphans(self, keys: Sequence[str]) -> Iterator[Finding]:
        for key in unknown_among(keys):
            if DiscardedObject.objects.filter(pk=key.removeprefix(OBJECT_PREFIX)).exists():
                continue  # on its way out
            if self.repair:
                object_store().delete(key)
            yield Finding(Trouble.ORPHAN, key, mended=self.repair)

    def _unreferenced(self, page: Sequence[Blob]) -> Iterator[Finding]:
        old = {blob.pk: blob for blob in page if blob.created_at < self.now - ORPHAN_AGE}
        for pk in sorted(unreferenced_among(old)):
            mended = self.repair and discard([pk]) > 0
            yield Finding(Trouble.UNREFERENCED, old[pk].object_key, mended=mended)


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


def _is_whole(blob: Blob, pieces: Iterable[bytes]) -> bool:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest() == bytes(blob.sha256)


def _restore(blob: Blob) -> bool:
    """Write a blob's bytes to S3 again from wherever they are whole; whether they were found."""
    for content in _copies(blob):
        if _is_whole(blob, [content]):
            object_store().put(blob.object_key, content)
            with transaction.atomic():
                Blob.objects.filter(pk=blob.pk).update(stored_at=blob.stored_at or blob.created_at)
                # If it was these that were damaged, the offloader would write them over the whole ones.
                SpooledBytes.objects.filter(pk=blob.pk).delete()
            return True
    return False


def _copies(blob: Blob) -> Iterator[bytes]:
    """Where the same bytes may be. Two organisations with one content have a copy each."""
    for content in SpooledBytes.objects.filter(pk=blob.pk).values_list("content", flat=True):
        yield bytes(content)
    yield from cached.find([blob]).values()
    for twin in Blob.objects.filter(sha256=blob.sha256).exclude(pk=blob.pk):
        try:
            yield object_store().get(twin.object_key)
        except ObjectStoreUnavailable:
            raise
        except BlobError:
            continue
