"""Reading bytes: the spool first, then the cache, then S3.

The spool comes first because bytes that S3 does not have yet are only there. The cache is optional in every way: a
Redis that is away costs a trip to S3 and nothing else.
"""

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

from apps.blobs.models import Blob, SpooledBytes
from apps.blobs.object_store import object_store

log = structlog.get_logger(__name__)

CACHE_BOUND_BYTES = 256 * 1024
CACHE_SECONDS = 3600


def read(blob: Blob) -> bytes:
    """The very bytes that were put.

    Raises ObjectStoreUnavailable when only S3 has them and it is away; BlobMissing when nobody has them.
    """
    if blob.stored_at is None:
        content = SpooledBytes.objects.filter(pk=blob.pk).values_list("content", flat=True).first()
        if content is not None:
            return bytes(content)
    cached = _cached(blob)
    if cached is not None:
        return cached
    content = object_store().get(blob.object_key)
    _remember(blob, content)
    return content


def _cached(blob: Blob) -> bytes | None:
    if blob.size_bytes > CACHE_BOUND_BYTES:
        return None
    try:
        content = cache.get(f"blob:{blob.pk}")
    except RedisError as error:
        log.warning("blob_cache_unavailable", error=type(error).__name__)
        return None
    return content if isinstance(content, bytes) else None


def _remember(blob: Blob, content: bytes) -> None:
    if blob.size_bytes > CACHE_BOUND_BYTES:
        return
    try:
        cache.set(f"blob:{blob.pk}", content, CACHE_SECONDS)
    except RedisError as error:
        log.warning("blob_cache_unavailable", error=type(error).__name__)
