"""How many requests a caller may make: calls of the REST API and messages of the submission port, together.

A fixed window of one minute, counted in Redis. An organisation's own admin key has no limit (the contract promises it).
Redis being away lets requests through: a limiter that stops mail because a counter is away would be the worse failure.
"""

from math import ceil
from time import time

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

from apps.accounts.principal import Principal

log = structlog.get_logger(__name__)

REQUESTS_PER_MINUTE = 600
WINDOW_SECONDS = 60


def may_ask(principal: Principal) -> bool:
    """Whether one more request of this caller fits into the running minute, in which it is then counted."""
    return principal.sees_everything or _count(principal) <= REQUESTS_PER_MINUTE


def seconds_to_wait() -> int:
    """Until the window ends."""
    return ceil(WINDOW_SECONDS - time() % WINDOW_SECONDS)


def _count(principal: Principal) -> int:
    window = f"rate:{principal.actor}:{int(time() // WINDOW_SECONDS)}"
    try:
        cache.add(window, 0, timeout=2 * WINDOW_SECONDS)
        return cache.incr(window)
    except RedisError as error:
        log.warning("rate_not_counted", error=type(error).__name__)
    except ValueError:  # evicted between the two calls
        log.warning("rate_not_counted", error="evicted")
    return 0
