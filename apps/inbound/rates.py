"""How often one address may come: connections and messages in a minute, counted for all listeners together.

The counts lie in Redis, so that several processes on several machines count as one. Each process counts for itself
too, and goes by that while Redis is away: mail is not refused because a counter is, and nobody gets in unbounded
either. A window slides over two fixed minutes: of the one before as much counts as the sliding one still covers.

Whoever has one IPv6 address has the 2^64 around it too, and counts as one. Networks that are trusted are not counted.

Limits: a lost count costs nothing and a doubled one is a minute's refusal with 421 or 450, which mail servers wait out.
"""

import time
from collections import Counter
from collections.abc import Callable
from enum import Enum

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from apps.inbound.limits import Limits, group_of

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 60
ANSWER_SECONDS = 0.25
LINES = 16
# After a failure Redis is left alone for this long: each of many senders must not wait for it.
REST_SECONDS = 5.0


class Counted(Enum):
    """What is counted, and the reply when it was too much."""

    CONNECTIONS = "421 4.7.0 Too many connections from your address within a minute, try again later"
    MESSAGES = "450 4.7.1 Too many messages from your address within a minute, try again later"


class Rates:
    """Counts for one event loop. `redis` is None where each process counts for itself. `now` is in
    seconds; listeners of one `name` count together."""

    def __init__(
        self,
        limits: Limits,
        redis: "Redis | None" = None,
        *,
        name: str = "smtp",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._redis = redis
        self._prefix = f"{name}:rate"
        self._now = now
        self._rests_until = 0.0
        self._window = 0
        self._own: Counter[str] = Counter()
        self._own_before: Counter[str] = Counter()

    async def refusal(self, counted: Counted, address: str) -> str:
        """Count one more; the reply that refuses it, or ""."""
        most = self._most(counted)
        if not most or self._limits.trusts(address):
            return ""
        now = self._now()
        window, gone = divmod(now, WINDOW_SECONDS)
        name = f"{counted.name.lower()}:{group_of(address)}"
        this, before = max(self._count(name, int(window)), await self._count_together(name, int(window)))
        in_a_minute = this + before * (1 - gone / WINDOW_SECONDS)
        if in_a_minute <= most:
            return ""
        log.info("smtp_rate_refused", what=counted.name.lower(), peer=address, in_a_minute=round(in_a_minute))
        return counted.value

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()

    def _most(self, counted: Counted) -> int:
        if counted is Counted.CONNECTIONS:
            return self._limits.max_connections_per_minute
        return self._limits.max_messages_per_minute

    def _count(self, name: str, window: int) -> tuple[int, int]:
        """This process's own: in this minute with the one counted now, and in the one before."""
        if window != self._window:
            self._own_before = self._own if window == self._window + 1 else Counter()
            self._own, self._window = Counter(), window
        self._own[name] += 1
        return self._own[name], self._own_before[name]

    async def _count_together(self, name: str, window: int) -> tuple[int, int]:
        if self._redis is None or time.monotonic() < self._rests_until:
            return 0, 0
        key, before = f"{self._prefix}:{name}:{window}", f"{self._prefix}:{name}:{window - 1}"
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.incr(key)
                pipeline.expire(key, 2 * WINDOW_SECONDS)
                pipeline.get(before)
                this, _expires, last = await pipeline.execute()
        except (RedisError, OSError) as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            log.warning("smtp_rate_counted_alone", error=type(error).__name__)
            return 0, 0
        return int(this), int(last or 0)


def connect(url: str) -> "Redis":
    """A client that is given up on soon, over a few lines: a burst of senders would otherwise open one each, and keep
    it. Made on the loop that uses it."""
    lines = BlockingConnectionPool.from_url(
        url,
        max_connections=LINES,
        timeout=ANSWER_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
    )
    return Redis.from_pool(lines)
