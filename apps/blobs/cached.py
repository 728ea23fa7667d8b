"""Small contents in Redis, for who reads them soon: what S3 has just taken, and what was just read from there.

Most bytes are read within minutes of being written, by the worker that sends them and by the person they were written
to. What `offload` moves to S3 is therefore remembered on the way: a backlog of small mails is sent without reading S3
back, where an object costs its server a millisecond and more.

Redis evicts nothing, because it holds wake-ups and limits too. So there is a bound in all, and it is exact: time is cut
into windows as long as a content is remembered, each window has half of the bound, counted before anything is
written, and what is over is not remembered. Never more than two windows' contents are alive.

The cache is optional in every way. Redis being away, flushed or full costs a trip to S3 and nothing else.

Limits: first come, first served; in a window in which a flood came in, later mail is read from S3.
"""

import uuid
from collections.abc import Iterable, Mapping
from time import time

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

from apps.blobs.models import Blob

log = structlog.get_logger(__name__)

LARGEST_BYTES = 64 * 1024
KEPT_SECONDS = 900
BOUND_BYTES = 128 * 1024 * 1024
# What a key costs Redis beside its content.
KEY_BYTES = 256


def find(blobs: Iterable[Blob]) -> dict[uuid.UUID, bytes]:
    """The contents of those that are remembered, by id."""
    keys = {f"blob:{blob.pk}": blob.pk for blob in blobs if blob.size_bytes <= LARGEST_BYTES}
    try:
        found = cache.get_many(list(keys)) if keys else {}
    except RedisError as error:
        log.warning("blob_cache_unavailable", error=type(error).__name__)
        return {}
    return {keys[key]: content for key, content in found.items() if isinstance(content, bytes)}


def remember(contents: Mapping[uuid.UUID, bytes]) -> None:
    """Remember the small ones of these contents, by their blobs' ids, if there is room for them."""
    small = {f"blob:{pk}": content for pk, content in contents.items() if len(content) <= LARGEST_BYTES}
    try:
        if small and _have_room(sum(map(len, small.values())) + KEY_BYTES * len(small)):
            cache.set_many(small, KEPT_SECONDS)
    except RedisError as error:
        log.warning("blob_cache_unavailable", error=type(error).__name__)


def forget(blob_ids: Iterable[uuid.UUID]) -> None:
    """Remember these contents no longer."""
    keys = [f"blob:{pk}" for pk in blob_ids]
    try:
        if keys:
            cache.delete_many(keys)
    except RedisError as error:
        log.warning("blob_cache_unavailable", error=type(error).__name__)


def _have_room(size_bytes: int) -> bool:
    """Take so much of this window's share. What does not fit stays counted: the bound errs on the safe side."""
    window = f"blobs:remembered:{int(time() // KEPT_SECONDS)}"
    cache.add(window, 0, 2 * KEPT_SECONDS)
    try:
        return cache.incr(window, size_bytes) <= BOUND_BYTES // 2
    except ValueError:  # flushed between the two
        return False
