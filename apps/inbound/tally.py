"""How often a listener said no, by what it said: counted in each process, gathered in Redis, told by /metrics.

What cannot be told to Redis is told with the next; the heartbeat says in the log that Redis is away.

Limits: counts begin anew when Redis is flushed, and what a killed process counted in its last seconds is lost.
"""

import asyncio
import re
from collections import Counter

from redis.asyncio import Redis
from redis.exceptions import RedisError

EVERY_SECONDS = 2.0
# The reply code, and the enhanced one where there is one (RFC 3463): the cause, and nothing that a client said.
_CODES = re.compile(r"\d{3}(?: \d\.\d{1,3}\.\d{1,3})?")


class Tally:
    """Counts for the listeners of one event loop."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._counted: Counter[tuple[str, str]] = Counter()

    def count(self, listener: str, reply: str) -> None:
        codes = _CODES.match(reply)
        self._counted[listener, codes[0] if codes else ""] += 1

    async def tell_on(self) -> None:
        """Add what was counted to what all have counted, every few seconds until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self._tell()

    async def close(self) -> None:
        await self._tell()
        await self._redis.aclose()

    async def _tell(self) -> None:
        counted, self._counted = self._counted, Counter()
        if not counted:
            return
        try:
            async with self._redis.pipeline() as pipeline:
                for (listener, codes), times in counted.items():
                    pipeline.hincrby(key_of(listener), codes, times)
                await pipeline.execute()
        except (RedisError, OSError):
            self._counted += counted


def key_of(listener: str) -> str:
    return f"{listener}:refused"
