"""Calls for a worker that nobody has answered yet.

A sweeper finds due rows every second. With every worker away, or all of them busy, a wake-up for each look would pile
up in Redis for as long as that lasts; so a sweeper calls once, and again when somebody came or after a while.
The mark lies in Redis, so all sweepers share it. Redis being away costs nothing: no call would get through either.
"""

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

UNANSWERED_SECONDS = 10


def may_call(name: str) -> bool:
    """Whether a sweeper should call now; when so, it is taken that it does."""
    try:
        return bool(cache.add(f"called:{name}", 1, UNANSWERED_SECONDS))
    except RedisError as error:
        log.warning("call_not_made", name=name, error=type(error).__name__)
        return False


def answer_call(name: str) -> None:
    """A worker came: a sweeper may call for another."""
    try:
        cache.delete(f"called:{name}")
    except RedisError as error:
        log.warning("call_not_answered", name=name, error=type(error).__name__)
