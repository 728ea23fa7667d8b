"""Breakers: as values, and shared by several workers over a real Valkey."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

from django.conf import settings
from redis.asyncio import Redis

from apps.names.breaker import Breaker, BreakerPolicy
from apps.organisations.models import new_id
from apps.outbound.relays.health import Answer, Health, _Memory

POLICY = BreakerPolicy(trips_after=3, first_rest=10, ceiling=60, probe=30)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
EVEN = 0.5  # the draw that makes a rest exactly as long as its bound


def failed(breaker: Breaker, now: float, times: int = 1) -> Breaker:
    for _ in range(times):
        breaker = breaker.failed("connection refused", now, POLICY, EVEN)
    return breaker


def test_a_few_failures_in_a_row_make_it_rest_and_a_success_between_them_does_not() -> None:
    assert failed(Breaker(), 0, 2).blocked_until(0) is None
    assert failed(failed(Breaker(), 0, 2).worked(), 0, 2).blocked_until(0) is None
    assert failed(Breaker(), 0, 3).blocked_until(0) == 10


def test_what_fails_while_it_rests_lengthens_nothing() -> None:
    assert failed(Breaker(), 0, 300) == failed(Breaker(), 0, 3)


def test_each_failed_probe_doubles_the_rest_up_to_the_ceiling() -> None:
    breaker, now, rests = failed(Breaker(), 0, 3), 0.0, []
    for _ in range(6):
        until = breaker.blocked_until(now)
        assert until is not None
        rests.append(until - now)
        now = until
        assert breaker.is_half_open(now)
        breaker = failed(breaker.probed(now, POLICY), now)
    assert rests == [10, 20, 40, 60, 60, 60]


def test_one_tries_and_the_others_come_back_in_a_moment() -> None:
    probing = failed(Breaker(), 0, 3).probed(10, POLICY)
    assert probing.blocked_until(11) == 13
    assert probing.blocked_until(41) is None  # whoever tried is taken for lost
    assert probing.worked().blocked_until(11) is None


def test_rests_are_spread_a_quarter_around_their_length() -> None:
    ends = {Breaker(2).failed("", 0, POLICY, draw).resting_until for draw in (0.0, 0.5, 0.999)}
    assert min(ends) == 7.5
    assert 12.4 < max(ends) < 12.5


@asynccontextmanager
async def workers(count: int, url: str | None = None) -> AsyncIterator[list[Health]]:
    """Several processes' views, each with a memory of its own."""

    def connect() -> Redis:
        return Redis.from_url(url or settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)

    async with AsyncExitStack() as stack:
        views = []
        for _ in range(count):
            view = Health(POLICY, connect, chance=lambda: EVEN, memory=_Memory())
            stack.push_async_callback(view.close)
            views.append(view)
        yield views


async def test_what_one_worker_finds_out_the_others_know() -> None:
    server = str(new_id())
    async with workers(4) as (a, b, c, idle):
        await a.failed(server, "connection refused", NOON)
        await b.failed(server, "connection refused", NOON)
        assert await c.ask(server, NOON) is None
        await c.failed(server, "connection refused", NOON)
        rest = await idle.ask(server, NOON)
    assert rest is not None
    assert (rest.until, rest.because) == (NOON + timedelta(seconds=10), "connection refused")


async def test_a_hundred_failures_at_once_are_one_rest() -> None:
    server = str(new_id())
    async with workers(4) as views:
        await asyncio.gather(
            *(view.failed(server, "no answer in time", NOON) for view in views for _ in range(25))
        )
        rest = await views[0].ask(server, NOON)
    assert rest is not None
    assert rest.until == NOON + timedelta(seconds=10)


async def test_of_all_workers_one_tries_when_the_rest_is_over_and_its_success_frees_all() -> None:
    server, later = str(new_id()), NOON + timedelta(seconds=11)
    async with workers(5) as views:
        for view in views[:3]:
            await view.failed(server, "no answer in time", NOON)
    async with workers(5) as views:
        answers = await asyncio.gather(*(view.ask(server, later) for view in views for _ in range(5)))
        assert sum(answer is None for answer in answers) == 1
        await views[answers.index(None) // 5].worked(server)
    async with workers(2) as views:
        assert [await view.ask(server, later) for view in views] == [None, None]


async def test_without_redis_each_worker_goes_by_what_it_saw_itself() -> None:
    server = str(new_id())
    async with workers(2, "redis://127.0.0.1:9/0") as (a, b):
        for _ in range(3):
            await a.failed(server, "connection refused", NOON)
        assert await a.ask(server, NOON) is not None
        assert await b.ask(server, NOON) is None
        assert await a.ask(server, NOON + timedelta(seconds=11)) is None
        await a.worked(server)
        assert await a.ask(server, NOON) is None
        await a.note(server, Answer(NOON, good=False, text="lost"))


async def test_a_flushed_redis_is_a_server_that_is_well() -> None:
    server = str(new_id())
    async with workers(2) as (a, b):
        for _ in range(3):
            await a.failed(server, "connection refused", NOON)
        redis = Redis.from_url(settings.REDIS_URL)
        await redis.delete(f"relay:breaker:{server}")
        await redis.aclose()
        assert await b.ask(server, NOON) is None


def test_an_answer_is_kept_as_it_was() -> None:
    answer = Answer(NOON, good=False, text="go away", code=554, enhanced="5.7.1", server="mx.test:25")
    assert Answer.decode(answer.encode()) == answer
