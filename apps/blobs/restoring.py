"""Writing missing or damaged bytes to S3 again, from wherever they are whole.

They are looked for in the spool, the cache, under other rows with the same hash, and in their pack itself, of which
another part may be damaged. A content of a pack is written to a new one (`repacking.move`): a pack never changes.
"""

import hashlib
from collections.abc import Iterable, Iterator

from django.db import transaction

from apps.blobs import cached
from apps.blobs.errors import BlobMissing
from apps.blobs.fetching import fetch
from apps.blobs.models import Blob, Pack, SpooledBytes
from apps.blobs.object_store import object_store
from apps.blobs.repacking import move


def is_whole(blob: Blob, pieces: Iterable[bytes]) -> bool:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest() == bytes(blob.sha256)


def restore(blob: Blob) -> bool:
    """Write a blob's own object again; whether its bytes were found. Raises ObjectStoreUnavailable."""
    content = _found(blob)
    if content is None:
        return False
    object_store().put(blob.object_key, content)
    with transaction.atomic():
        Blob.objects.filter(pk=blob.pk, pack=None).update(stored_at=blob.stored_at or blob.created_at)
        # If it was these that were damaged, the offloader would write them over the whole ones.
        SpooledBytes.objects.filter(pk=blob.pk).delete()
    return True


def restore_packed(pack: Pack, blobs: Iterable[Blob]) -> bool:
    """Write these contents of a pack to a new one, as far as they are found; whether all were. Raises
    ObjectStoreUnavailable."""
    contents = {blob.pk: _found(blob) for blob in blobs}
    found = {pk: content for pk, content in contents.items() if content is not None}
    if found or not contents:
        move(pack, found)
    return len(found) == len(contents)


def _found(blob: Blob) -> bytes | None:
    return next((content for content in _copies(blob) if is_whole(blob, [content])), None)


def _copies(blob: Blob) -> Iterator[bytes]:
    """Where the same bytes may be. Two organisations with one content have a copy each."""
    for content in SpooledBytes.objects.filter(pk=blob.pk).values_list("content", flat=True):
        yield bytes(content)
    yield from cached.find([blob]).values()
    twins = Blob.objects.filter(sha256=blob.sha256).exclude(pk=blob.pk)
    for one in [*twins, *([blob] if blob.pack_id else [])]:
        try:
            yield from fetch([one]).values()
        except BlobMissing:
            continue
