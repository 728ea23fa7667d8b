"""Pictures from other servers: fetched by us, drawn anew by us, and only when a person asked to see them.

    fetch     through `fetching`: public addresses only, each redirect checked anew, one deadline, bounded bytes
    redraw    in a process that can be killed: what the browser gets are pixels that we wrote
    keep      for a day, in Redis, within the bound that blobs keep to; reading the mail again asks nobody

The sender's server learns that somebody of this installation looked, and when; not who, with what, or from where.

A crash at any step leaves nothing. What could not be fetched is remembered for a few minutes, so that a dead server
is not asked at each look.

Limits: fetched by a few threads of a process (`TURNS`); what waits too long for one, or belongs to a mail whose
pictures took `SECONDS_OF_A_MAIL` lately, stays empty until the page is opened again. A picture that changes at its
address is the old one for a day.
"""

import functools
import hashlib
import threading
import uuid
from concurrent.futures import Future
from time import monotonic

import structlog
from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from apps.fetching.errors import FetchFailed
from apps.fetching.fetch import FetchPolicy, fetch
from apps.fetching.turns import TurnPolicy, Turns
from apps.mime.filetypes import SVG, detect_type
from apps.reading.errors import NothingToSee, NotNow
from apps.reading.looking import look_into

log = structlog.get_logger(__name__)

TURNS = TurnPolicy(at_once=6, of_one_house=4, patience_seconds=10.0)
SECONDS_OF_A_MAIL = 60.0
SPENT_KEPT_SECONDS = 600
KEPT_SECONDS = 24 * 3600
FAILURE_KEPT_SECONDS = 300
LARGEST_KEPT_BYTES = 400 * 1024
# Redis evicts nothing, because it holds wake-ups and limits too: so much of it in a day, and no more.
BOUND_BYTES = 64 * 1024 * 1024
DEADLINE_SECONDS = 8.0
MAX_BYTES = 10 * 1024 * 1024
_WANTED = {"Accept": "image/avif,image/webp,image/png,image/jpeg,image/gif"}

_turns = Turns(TURNS)
_lock = threading.Lock()
_under_way: dict[str, Future[bytes]] = {}


def picture_at(organisation_id: uuid.UUID, message_id: uuid.UUID, url: str) -> Future[bytes]:
    """The picture at an address that a message names, as WebP, once it is there.

    It may raise NothingToSee with the reason, and NotNow; and is cancelled when no turn came.
    """
    # Each organisation has its own, or one could tell by the time it takes what another has read.
    key = f"remote-picture:{organisation_id}:{hashlib.sha256(url.encode()).hexdigest()}"
    kept = _recall(key)
    if kept is not None:
        return _settled(kept)
    with _lock:
        coming = _under_way.get(key)
        if coming is None:
            coming = _turns.take(organisation_id, functools.partial(_fetch_and_keep, key, message_id, url))
            _under_way[key] = coming
            coming.add_done_callback(lambda _coming: _under_way.pop(key, None))
    return coming


def _settled(kept: bytes | str) -> Future[bytes]:
    """A picture, or why there is none."""
    settled: Future[bytes] = Future()
    if isinstance(kept, bytes):
        settled.set_result(kept)
    else:
        settled.set_exception(NothingToSee(kept))
    return settled


def _fetch_and_keep(key: str, message_id: uuid.UUID, url: str) -> bytes:
    began = monotonic()
    if _spent(message_id, 0) > SECONDS_OF_A_MAIL:
        raise NotNow
    try:
        picture = _fetched(url)
    except NothingToSee as nothing:
        _remember(key, nothing.code, FAILURE_KEPT_SECONDS)
        raise
    finally:
        _spent(message_id, monotonic() - began)
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


def _recall(key: str) -> bytes | str | None:
    try:
        kept: bytes | str | None = cache.get(key)
        return kept
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


def _spent(message_id: uuid.UUID, seconds: float) -> float:
    """What a message's pictures took lately, with so much more."""
    key = f"remote-pictures:spent:{message_id}"
    try:
        cache.add(key, 0, SPENT_KEPT_SECONDS)
        milliseconds: int = cache.incr(key, round(seconds * 1000))
    except (RedisError, ValueError):  # away, or expired between the two
        return seconds
    return milliseconds / 1000
