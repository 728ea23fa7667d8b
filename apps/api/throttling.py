"""How many requests a key may make.

A fixed window of one minute, counted in Redis. An organisation's own admin key has no limit (the contract promises it).
Redis being away lets requests through: a limiter that stops mail because a counter is away would be the worse failure.
"""

from time import time

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from apps.accounts.principal import Principal

log = structlog.get_logger(__name__)

REQUESTS_PER_MINUTE = 600
WINDOW_SECONDS = 60


class KeyThrottle(BaseThrottle):
    """429 with `Retry-After` for a key's request beyond `REQUESTS_PER_MINUTE` in one minute."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        principal = request.auth
        if not isinstance(principal, Principal) or principal.sees_everything:
            return True
        return self._count(principal) <= REQUESTS_PER_MINUTE

    def wait(self) -> float:
        """Seconds until the window ends."""
        return WINDOW_SECONDS - time() % WINDOW_SECONDS

    def _count(self, principal: Principal) -> int:
        window = f"rate:{principal.actor}:{int(time() // WINDOW_SECONDS)}"
        try:
            cache.add(window, 0, timeout=2 * WINDOW_SECONDS)
            return cache.incr(window)
        except RedisError as error:
            log.warning("rate_not_counted", error=type(error).__name__)
        except ValueError:  # evicted between the two calls
            log.warning("rate_not_counted", error="evicted")
        return 0
