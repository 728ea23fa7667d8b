"""Calls of the limiter's script in Redis, many at a time.

Hundreds of conversations of one process ask at once. One call is under way at a time; what is asked meanwhile goes
along in the next, so that each costs a small part of a round trip and one connection is enough.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

SCRIPT = Path(__file__).with_name("script.lua").read_text()
PREFIX = "{limits}:"
LEASE_MS = 30_000
RENEW_MS = 3_000
# After a flush: longer than between two renewals, so that all living workers have named what they have in flight.
SETTLE_MS = 4_000
MOST_STEPS = 200

Step = dict[str, Any]
Answer = dict[str, Any]


class RedisAway(Exception):
    """Redis did not do what was asked, or nobody knows."""


class ScriptCalls:
    """The script under one prefix, by one connection. `clock` is a test's milliseconds; without it, Redis' own."""

    def __init__(
        self,
        redis: "Redis",
        *,
        prefix: str = PREFIX,
        settle_ms: int = SETTLE_MS,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._settle_ms = settle_ms
        self._clock = clock
        self._script = redis.register_script(SCRIPT)
        self._waiting: list[tuple[Step, asyncio.Future[Answer]]] = []
        self._calling: asyncio.Task[None] | None = None

    async def ask(self, step: Step) -> Answer:
        """The script's answer to one step. Raises RedisAway. A caller that is cancelled leaves the step to be done."""
        return await asyncio.shield(self.begin(step))

    def begin(self, step: Step) -> "asyncio.Future[Answer]":
        """The same, for whoever must learn the answer although it was told to stop."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((step, answer))
        if self._calling is None or self._calling.done():
            self._calling = asyncio.create_task(self._call_until_none_wait())
        return answer

    async def close(self) -> None:
        """Let the calls under way end, then the connection."""
        if self._calling is not None:
            await self._calling
        await self._redis.aclose()

    async def _call_until_none_wait(self) -> None:
        while self._waiting:
            # One turn of the loop, so that what becomes ready together goes together.
            await asyncio.sleep(0)
            batch, self._waiting = self._waiting[:MOST_STEPS], self._waiting[MOST_STEPS:]
            try:
                answers = await self._call([step for step, _answer in batch])
            except (RedisError, OSError) as error:
                _fail([answer for _step, answer in batch], error)
                continue
            for (_step, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    async def _call(self, steps: list[Step]) -> list[Answer]:
        call = {
            "lease": LEASE_MS,
            "settle": self._settle_ms,
            "at": self._clock() if self._clock else None,
            "steps": steps,
        }
        answers: list[Answer] = json.loads(await self._script(keys=[self._prefix], args=[json.dumps(call)]))
        return answers


def _fail(futures: list["asyncio.Future[Answer]"], error: Exception) -> None:
    for future in futures:
        if not future.done():
            # A script that is wrong is a fault of ours, and hiding it as an outage would slow everything for ever.
            wrong = isinstance(error, ResponseError) and not isinstance(error, NoScriptError)
            future.set_exception(error if wrong else RedisAway(type(error).__name__))
            future.exception()  # looked at, so that nobody who stopped waiting is told of it by asyncio
