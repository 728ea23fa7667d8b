"""Reading bytes: the spool first, then the cache, then S3.

The spool comes first because bytes that S3 does not have yet are only there. The cache is optional in every way: a
Redis that is away costs a trip to S3 and nothing else.
"""

import uuid
from collections.abc import Iterable

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

from apps.blobs.models import Blob, SpooledBytes
from apps.blobs.object_store import object_store

log = structlog.get_logger(__name__)

# Redis evicts nothing, because it holds wake-ups too: what is cached must be small and leave soon by itself.
CACHE_BOUND_BYTES = 64 * 1024
CACHE_SECONDS = 120


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


def read_many(blobs: Iterable[Blob]) -> dict[uuid.UUID, bytes]:
    """The contents of many blobs, by id: one query of the spool, one of the cache, and S3 side by side for the rest.

    Raises what `read` raises.
    """
    wanted = {blob.pk: blob for blob in blobs}
    spooled = SpooledBytes.objects.filter(
        pk__in=[pk for pk, blob in wanted.items() if blob.stored_at is None]
    )
    contents = {pk: bytes(content) for pk, content in spooled.values_list("pk", "content")}
    contents |= _cached_many([blob for pk, blob in wanted.items() if pk not in contents])
    rest = [blob for pk, blob in wanted.items() if pk not in contents]
    if rest:
        fetched = object_store().get_many([blob.object_key for blob in rest])
        contents |= {blob.pk: fetched[blob.object_key] for blob in rest}
        _remember_many([(blob, contents[blob.pk]) for blob in rest])
    return contents


def _cached_many(blobs: list[Blob]) -> dict[uuid.UUID, bytes]:
    keys = {f"blob:{blob.pk}": blob.pk for blob in blobs if blob.size_bytes <= CACHE_BOUND_BYTES}
    try:
        found = cache.get_many(list(keys)) if keys else {}
    except RedisError as error:
        log.warning("blob_cache_unavailable", error=type(error).__name__)
        return {}
    return {keys[key]: content for key, content in found.items() if isinstance(content, bytes)}


def _cached(blob: Blob) -> bytes | None:
    if blob.size_bytes > CACHE_BOUND_BYTES:
        return None
    try:
        content = cache.get(f"blob:{blob.pk}")
    except RedisError as error:
        log.warning("blob_cache_unavailable", error=type(error).__name__)
        return None
    return content if isinstance(content, bytes) else None


def _remember_many(read: Iterable[tuple[Blob, bytes]]) -> None:
    small = {f"blob:{blob.pk}": content for blob, content in read if blob.size_bytes <= CACHE_BOUND_BYTES}
    try:
        if small:
            cache.set_many(small, CACHE_SECONDS)
    except RedisError as error:
        log.warning("blob_cache_unavailable", error=type(error).__name__)


def _remember(blob: Blob, content: bytes) -> None:
    if blob.size_bytes > CACHE_BOUND_BYTES:
        return
    try:
        cache.set(f"blob:{blob.pk}", content, CACHE_SECONDS)
    except RedisError as error:
        log.warning("blob_cache_unavailable", error=type(error).__name__)
