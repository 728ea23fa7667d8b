"""A brake on guessing passwords: failures are counted for each address from each network address, and for each of both.

Counters live in the cache, which may be lost: an attacker then gets some guesses more, and the slow password hash still
stands. When the cache is away people can sign in; refusing everybody would be the worse failure.

Limits: behind a proxy all people share the proxy's address until the server passes the real one on.
"""

import hashlib

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 15 * 60
MAX_FAILURES_OF_PAIR = 8
MAX_FAILURES_OF_PERSON = 40
MAX_FAILURES_OF_NETWORK_ADDRESS = 80


def is_barred(email: str, network_address: str) -> bool:
    """Whether a further try must wait, whatever its password is."""
    limits = _limits(email, network_address)
    try:
        counted = cache.get_many(limits)
    except RedisError as error:
        log.warning("sign_in_limits_unavailable", error=type(error).__name__)
        return False
    return any(counted.get(key, 0) >= limit for key, limit in limits.items())


def count_failure(email: str, network_address: str) -> None:
    """A counter lives as long as its window, counted from its first failure."""
    try:
        for key in _limits(email, network_address):
            if not cache.add(key, 1, WINDOW_SECONDS):
                _increment(key)
    except RedisError as error:
        log.warning("sign_in_limits_unavailable", error=type(error).__name__)


def _increment(key: str) -> None:
    try:
        cache.incr(key)
    except ValueError:
        cache.add(key, 1, WINDOW_SECONDS)  # its window ended between the two calls


def _limits(email: str, network_address: str) -> dict[str, int]:
    person = hashlib.sha256(email.strip().lower().encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return {
        f"sign-in:{person}:{network_address}": MAX_FAILURES_OF_PAIR,
        f"sign-in:{person}": MAX_FAILURES_OF_PERSON,
        f"sign-in::{network_address}": MAX_FAILURES_OF_NETWORK_ADDRESS,
    }
