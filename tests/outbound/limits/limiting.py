"""A limiter of a test's own: on the real Valkey, under a prefix nobody else has, in simulated time where wanted."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from apps.outbound.limits.bounds import Bounds, Demand, Demands, Granted, Window
from apps.outbound.limits.history import History, recall
from apps.outbound.limits.limiter import Limiter
from apps.outbound.limits.provider_table import BUILT_IN, read_table
from apps.outbound.limits.providers import Providers
from apps.outbound.limits.script import ScriptCalls
from apps.outbound.models import LimitScope
from apps.outbound.waiting import Wait

START_MS = 1_790_000_000_000
PROVIDERS = Providers(read_table(BUILT_IN))


class Clock:
    """Simulated milliseconds."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


class Forgetful:
    """A database that remembers no attempts, or `accepted` of them within the last minute."""

    def __init__(self, accepted: int = 0) -> None:
        self.accepted = accepted
        self.recalls = 0

    async def __call__(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if work is recall:
            self.recalls += 1
            return History(0, ())
        return self.accepted


@dataclass(frozen=True)
class FakeRelay:
    pk: uuid.UUID
    name: str


def fake_relay(name: str = "mail-1") -> FakeRelay:
    return FakeRelay(uuid.uuid4(), name)


class ShortBounds(Bounds):
    """Windows of any length, for tests in real time."""

    def __init__(self, *windows: Window) -> None:
        super().__init__()
        object.__setattr__(self, "_windows", windows)

    @property
    def windows(self) -> tuple[Window, ...]:
        given: tuple[Window, ...] = object.__getattribute__(self, "_windows")
        return given


def demand(name: str = "mail-1", *, scope: LimitScope = LimitScope.RELAY, **bounds: Any) -> Demand:
    return Demand(f"{scope}:{name}", scope, f"{scope.title()} {name}", Bounds(**bounds))


def demands(*parts: Demand) -> Demands:
    return Demands(parts)


def connect(url: str = "") -> Redis:
    redis: Redis = Redis.from_url(
        url or settings.REDIS_URL,
        socket_timeout=5,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 0),
    )
    return redis


def new_prefix() -> str:
    return f"{{limits-{uuid.uuid4().hex}}}:"


@asynccontextmanager
async def limiter(
    clock: Clock | None = None,
    *,
    database: Any = None,
    prefix: str = "",
    url: str = "",
    processes: int = 4,
    settle_ms: int = 0,
) -> AsyncIterator[Limiter]:
    """A limiter that is closed at the end. Without a prefix of its own it shares nothing with any other."""
    calls = ScriptCalls(connect(url), prefix=prefix or new_prefix(), clock=clock, settle_ms=settle_ms)
    made = Limiter(
        calls,
        database or Forgetful(),
        processes=processes,
        providers=PROVIDERS,
        clock_ms=clock,
    )
    made.look_for_paces_seconds = 0
    try:
        yield made
    finally:
        await made.close()


async def grants_now(limiter: Limiter, wanted: Demands, *, most: int = 10_000) -> int:
    """How many messages begin and end at this moment until one has to wait."""
    for number in range(most):
        granted = await limiter.admit(wanted)
        if isinstance(granted, Wait):
            return number
        await limiter.release(granted)
    return most


async def take(limiter: Limiter, wanted: Demands) -> Granted:
    granted = await limiter.admit(wanted)
    assert isinstance(granted, Granted), granted
    return granted


async def meet_wait(limiter: Limiter, wanted: Demands) -> Wait:
    wait = await limiter.admit(wanted)
    assert isinstance(wait, Wait)
    return wait


def most_in_any_window(moments: list[float], length: float) -> int:
    """The most that any window (t - length, t] holds."""
    moments = sorted(moments)
    first = most = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - length:
            first += 1
        most = max(most, last - first + 1)
    return most


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)
