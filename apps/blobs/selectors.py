"""Reading bytes: the spool first, then the cache, then S3.

The spool comes first because bytes that S3 does not have yet are only there.
"""

import uuid
from collections.abc import Iterable

from apps.blobs import cached
from apps.blobs.fetching import fetch
from apps.blobs.models import Blob, SpooledBytes


def read(blob: Blob) -> bytes:
    """The very bytes that were put.

    Raises ObjectStoreUnavailable when only S3 has them and it is away; BlobMissing when nobody has them.
    """
    return read_many([blob])[blob.pk]


def read_many(blobs: Iterable[Blob]) -> dict[uuid.UUID, bytes]:
    """The contents of many blobs, by id: one query of the spool, one of the cache, and S3 side by side for the rest.

    Raises what `read` raises.
    """
    wanted = {blob.pk: blob for blob in blobs}
    in_spool = [pk for pk, blob in wanted.items() if blob.stored_at is None]
    spooled = SpooledBytes.objects.filter(pk__in=in_spool).values_list("pk", "content") if in_spool else ()
    contents = {pk: bytes(content) for pk, content in spooled}
    contents |= cached.find(blob for pk, blob in wanted.items() if pk not in contents)
    rest = [blob for pk, blob in wanted.items() if pk not in contents]
    if rest:
        fresh = fetch(rest)
        cached.remember(fresh)
        contents |= fresh
    return contents
