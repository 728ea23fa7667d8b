"""How the servers that we send over are, known to all workers together.

Each server has a breaker (`relays.breaker`) and each relay its last answers. They lie in Redis, under keys that expire,
so that a relay which one worker found to be down is not found out by every other one, and so that one attempt tries it
when its rest is over and not one from each worker. A change is made by compare and set: whoever was slower looks again.

Redis is asked at most once a second for a server that is well, and written to only when something changes. It may be
away or flushed: then this process goes by what it saw itself, and at worst a server that is down is found out once
more. Nothing here decides whether a mail is accepted; a wrong idea of a server's health costs time and no mail.

Limits: while Redis is away each process tries a resting server by itself.
"""

import asyncio
import json
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from apps.names.breaker import Breaker, BreakerPolicy
from apps.outbound.wire.smtp_reply import server_words

log = structlog.get_logger(__name__)

FRESH_SECONDS = 1.0
AWAY_SECONDS = 5.0
ANSWERS_KEPT = 20
ANSWER_EVERY_SECONDS = 1.0
FORGET_AFTER_SECONDS = 3600
ANSWERS_FORGOTTEN_AFTER_SECONDS = 7 * 24 * 3600
REMEMBERED = 10_000
TRIES = 5

_SET_IF_UNCHANGED = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """One thing a server said, or our own account of why it said nothing. `server` is where it was said."""

    at: datetime
    good: bool
    text: str
    code: int | None = None
    enhanced: str = ""
    server: str = ""

    @property
    def words(self) -> str:
        return server_words(self.code, self.enhanced, self.text)

    def encode(self) -> str:
        return json.dumps([self.at.timestamp(), self.good, self.text, self.code, self.enhanced, self.server])

    @classmethod
    def decode(cls, text: str | bytes) -> "Answer":
        at, good, words, code, enhanced, server = json.loads(text)
        return cls(datetime.fromtimestamp(at, UTC), good, words, code, enhanced, server)


@dataclass(frozen=True, slots=True)
class Rest:
    """It is left alone until then, and why."""

    until: datetime
    because: str


class _Memory:
    """What this process knows: it outlives a drain, for a drain is over as soon as nothing is due."""

    def __init__(self) -> None:
        self.breakers: OrderedDict[str, tuple[Breaker, float]] = OrderedDict()
        self.answered: OrderedDict[str, float] = OrderedDict()
        self.away_until = 0.0

    def keep(self, server: str, breaker: Breaker) -> None:
        self.breakers[server] = breaker, time.monotonic()
        self.breakers.move_to_end(server)
        while len(self.breakers) > REMEMBERED:
            self.breakers.popitem(last=False)


_process = _Memory()


class Health:
    """One event loop's view. A server is named by its relay's id, with `/host` for a recipient's own server."""

    def __init__(
        self,
        policy: BreakerPolicy,
        connect: Callable[[], "Redis | None"],
        *,
        chance: Callable[[], float] | None = None,
        memory: _Memory | None = None,
    ) -> None:
        self._policy = policy
        self._connect = connect
        self._redis: Redis | None = None
        self._chance = chance or random.SystemRandom().random
        self._memory = memory or _process
        self._turn = asyncio.Lock()
        self._looking: dict[str, asyncio.Task[Breaker]] = {}

    async def ask(self, server: str, now: datetime) -> Rest | None:
        """None: go ahead, and tell how it went. Otherwise until when to leave it alone."""
        moment = now.timestamp()
        breaker = await self._look(server)
        until = breaker.blocked_until(moment)
        if until is None and breaker.is_half_open(moment):
            until = await self._take_probe(server, moment)
        if until is None:
            return None
        return Rest(datetime.fromtimestamp(until, UTC), breaker.because)

    async def failed(self, server: str, because: str, now: datetime) -> None:
        """It could not be used: no line, no greeting, no welcome."""
        moment, draw = now.timestamp(), self._chance()
        before, after = await self._change(
            server, lambda known: known.failed(because, moment, self._policy, draw)
        )
        if after.resting_until > before.resting_until:
            log.warning("server_rests", server=server, seconds=round(after.resting_until - moment, 1))
            await self._note_rest(server, after.resting_until)

    async def worked(self, server: str) -> None:
        """It took something, or said no in a way that is its right."""
        known = self._memory.breakers.get(server)
        if known is None or known[0] != Breaker():
            await self._change(server, Breaker.worked)

    async def note(self, relay: str, answer: Answer) -> None:
        """Keep an answer for people to see: at most one a second of each kind."""
        kind = f"{relay}:{answer.good}"
        told_at = self._memory.answered.get(kind, float("-inf"))
        if time.monotonic() - told_at < ANSWER_EVERY_SECONDS:
            return
        self._memory.answered[kind] = time.monotonic()
        redis = self._server()
        if redis is None:
            return
        try:
            pipeline = redis.pipeline(transaction=False)
            pipeline.lpush(answers_key(relay), answer.encode())
            pipeline.ltrim(answers_key(relay), 0, ANSWERS_KEPT - 1)
            pipeline.expire(answers_key(relay), ANSWERS_FORGOTTEN_AFTER_SECONDS)
            await pipeline.execute()
        except RedisError as error:
            self._gone(error)

    async def close(self) -> None:
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()

    # one breaker

    async def _look(self, server: str) -> Breaker:
        known, looked_at = self._memory.breakers.get(server, (Breaker(), float("-inf")))
        if time.monotonic() - looked_at < FRESH_SECONDS:
            return known
        # Two hundred conversations that want to know in the same moment ask once, and over one connection.
        looking = self._looking.get(server)
        if looking is None:
            looking = self._looking[server] = asyncio.create_task(self._look_for_all(server, known))
            looking.add_done_callback(lambda _task: self._looking.pop(server))
        # Shielded: who is told to stop meanwhile must not take the answer from the others.
        return await asyncio.shield(looking)

    async def _look_for_all(self, server: str, known: Breaker) -> Breaker:
        redis = self._server()
        if redis is not None:
            try:
                known = decode_breaker(await redis.get(breaker_key(server)))
            except RedisError as error:
                self._gone(error)
        self._memory.keep(server, known)
        return known

    async def _take_probe(self, server: str, moment: float) -> float | None:
        """None for the one attempt that may try; for the others, when to come back."""
        before, _after = await self._change(
            server,
            lambda known: (
                known.probed(moment, self._policy)
                if known.is_half_open(moment) and known.blocked_until(moment) is None
                else known
            ),
        )
        return before.blocked_until(moment)

    async def _change(self, server: str, change: Callable[[Breaker], Breaker]) -> tuple[Breaker, Breaker]:
        """Change a breaker for all; what it was and what it is. In turn: two hundred failures at once are one news."""
        async with self._turn:
            redis = self._server()
            if redis is not None:
                try:
                    return await self._change_for_all(redis, server, change)
                except RedisError as error:
                    self._gone(error)
            before = self._memory.breakers.get(server, (Breaker(), 0.0))[0]
            after = change(before)
            self._memory.keep(server, after)
            return before, after

    async def _change_for_all(
        self, redis: "Redis", server: str, change: Callable[[Breaker], Breaker]
    ) -> tuple[Breaker, Breaker]:
        before = after = Breaker()
        for _try in range(TRIES):
            stored = await redis.get(breaker_key(server)) or b""
            before = decode_breaker(stored)
            after = change(before)
            if after == before or await redis.eval(
                _SET_IF_UNCHANGED, 1, breaker_key(server), stored, _encode(after), str(FORGET_AFTER_SECONDS)
            ):
                break
        self._memory.keep(server, after)
        return before, after

    async def _note_rest(self, server: str, until: float) -> None:
        """Let pages find the servers of a direct relay that rest, without walking through Redis."""
        relay, slash, host = server.partition("/")
        redis = self._server()
        if not slash or redis is None:
            return
        try:
            await redis.zadd(resting_key(relay), {host: until})
            await redis.expire(resting_key(relay), FORGET_AFTER_SECONDS)
        except RedisError as error:
            self._gone(error)

    def _server(self) -> "Redis | None":
        if time.monotonic() < self._memory.away_until:
            return None
        if self._redis is None:
            self._redis = self._connect()
        return self._redis

    def _gone(self, error: RedisError) -> None:
        log.warning("health_not_shared", error=type(error).__name__)
        self._memory.away_until = time.monotonic() + AWAY_SECONDS


def breaker_key(server: str) -> str:
    return f"relay:breaker:{server}"


def answers_key(relay: str) -> str:
    return f"relay:answers:{relay}"


def resting_key(relay: str) -> str:
    return f"relay:resting:{relay}"


def decode_breaker(stored: bytes | str | None) -> Breaker:
    """What lies in Redis; nothing, or what an older version wrote, is a server that is well."""
    try:
        fields: dict[str, Any] = json.loads(stored) if stored else {}
        return Breaker(**fields)
    except (ValueError, TypeError):
        return Breaker()


def _encode(breaker: Breaker) -> str:
    return "" if breaker == Breaker() else json.dumps(breaker.as_dict())
