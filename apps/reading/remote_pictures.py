"""Pictures from other servers: fetched by us, drawn anew by us, and only when a person asked to see them.

    fetch     through `fetching`: public addresses only, each redirect checked anew, one deadline, bounded bytes
    redraw    in a process that can be killed: what the browser gets are pixels that we wrote
    keep      for a day, in Redis, within the bound that blobs keep to; reading the mail again asks nobody

The sender's server learns that somebody of this installation looked, and when; not who, with what, or from where.

A crash at any step leaves nothing. What could not be fetched is remembered for a few minutes, so that a dead server
does not hold a thread for each look.

Limits: `AT_ONCE` are fetched at a time in a process; the others wait `PATIENCE_SECONDS` for a turn, then their place
stays empty until the page is opened again. A picture that changes at its address is the old one for a day.
"""

import hashlib
import threading
import uuid

import structlog
from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from apps.fetching.errors import FetchFailed
from apps.fetching.fetch import FetchPolicy, fetch
from apps.mime.filetypes import SVG, detect_type
from apps.reading.errors import NothingToSee, NotNow
from apps.reading.looking import look_into

log = structlog.get_logger(__name__)

AT_ONCE = 6
PATIENCE_SECONDS = 10.0
KEPT_SECONDS = 24 * 3600
FAILURE_KEPT_SECONDS = 300
LARGEST_KEPT_BYTES = 400 * 1024
# Redis evicts nothing, because it holds wake-ups and limits too: so much of it in a day, and no more.
BOUND_BYTES = 64 * 1024 * 1024
DEADLINE_SECONDS = 8.0
MAX_BYTES = 10 * 1024 * 1024
_WANTED = {"Accept": "image/avif,image/webp,image/png,image/jpeg,image/gif"}

_turns = threading.BoundedSemaphore(AT_ONCE)


def picture_at(organisation_id: uuid.UUID, url: str) -> bytes:
    """The picture at an address, as WebP. Raises NothingToSee with the reason, and NotNow."""
    # Each organisation has its own, or one could tell by the time it takes what another has read.
    key = f"remote-picture:{organisation_id}:{hashlib.sha256(url.encode()).hexdigest()}"
    kept = _recall(key)
    if isinstance(kept, bytes):
        return kept
    if isinstance(kept, str):
        raise NothingToSee(kept)
    if not _turns.acquire(timeout=PATIENCE_SECONDS):
        raise NotNow
    try:
        picture = _fetched(url)
    except NothingToSee as nothing:
        _remember(key, nothing.code, FAILURE_KEPT_SECONDS)
        raise
    finally:
        _turns.release()
    if len(picture) <= LARGEST_KEPT_BYTES and _have_room(len(picture)):
        _remember(key, picture, KEPT_SECONDS)
    return picture


def _fetched(url: str) -> bytes:
    policy = FetchPolicy(
        allowed_networks=settings.FETCH_ALLOWED_NETWORKS,
        deadline_seconds=DEADLINE_SECONDS,
        max_bytes=MAX_BYTES,
    )
    try:
        content = fetch(url, policy, _WANTED).content
    except FetchFailed as failure:
        # No address in the log: it names who reads what.
        log.info("remote_picture_not_fetched", code=failure.code, status=failure.status)
        raise NothingToSee(failure.code) from failure
    if detect_type(content) == SVG:
        raise NothingToSee("not_a_picture")
    picture, _width, _height = look_into("redraw", content)
    return bytes(picture)


def _recall(key: str) -> object:
    try:
        return cache.get(key)
    except RedisError as error:
        log.warning("remote_picture_cache_unavailable", error=type(error).__name__)
        return None


def _remember(key: str, value: bytes | str, seconds: int) -> None:
    try:
        cache.set(key, value, seconds)
    except RedisError as error:
        log.warning("remote_picture_cache_unavailable", error=type(error).__name__)


def _have_room(size_bytes: int) -> bool:
    """Take so much of the bound. Counted anew once nothing was added for as long as pictures are kept."""
    try:
        cache.add("remote-pictures:bytes", 0, KEPT_SECONDS)
        return cache.incr("remote-pictures:bytes", size_bytes) <= BOUND_BYTES
    except (RedisError, ValueError):  # away, or expired between the two
        return False
