"""Limits while Redis is away: each process keeps to its share of what PostgreSQL says is left."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from apps.outbound.errors import RelayRefused
from apps.outbound.limits.bounds import Granted
from apps.outbound.limits.history import History, Log, recall
from apps.outbound.limits.limiter import Limiter
from apps.outbound.waiting import Wait
from tests.outbound.limits.limiting import (
    Clock,
    demand,
    demands,
    fake_relay,
    grants_now,
    limiter,
    meet_wait,
    most_in_any_window,
    new_prefix,
)
from tests.outbound.limits.test_pace import THROTTLED, over
from tests.servers import Servers

NOBODY = "redis://127.0.0.1:9/0"


class Remembering:
    """A database that remembers attempts of the last minute, so many so many milliseconds ago."""

    def __init__(self, *entries: tuple[int, int]) -> None:
        self.entries = entries
        self.recalls = 0

    async def __call__(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if work is not recall:
            return 0
        self.recalls += 1
        return History(0, (Log("relay:mail-1", 60_000, self.entries),))


async def test_a_process_takes_its_share_and_no_more() -> None:
    async with limiter(Clock(), url=NOBODY, processes=4) as limits:
        wanted = demands(demand(per_minute=22))
        assert await grants_now(limits, wanted) == 5
        wait = await meet_wait(limits, wanted)
        assert wait.reason == (
            "Redis, where limits are counted, does not answer: each worker process keeps to its share of "
            "the limit of relay mail-1."
        )


async def test_what_was_sent_before_counts_in_full() -> None:
    clock, database = Clock(), Remembering((40_000, 10), (5_000, 8))
    async with limiter(clock, url=NOBODY, database=database, processes=4) as limits:
        wanted = demands(demand(per_minute=30))
        assert await grants_now(limits, wanted) == 3  # 18 were sent; 4 × 3 of the other 12 may be
        clock.advance(21)
        assert await grants_now(limits, wanted) == 2  # the first ten left the window
        assert database.recalls == 1


async def test_all_processes_together_keep_the_limit() -> None:
    clock, sent = Clock(), list[float]()
    wanted = demands(demand(per_minute=40, gap_ms=100))

    async def send(process: Limiter) -> None:
        granted = await process.admit(wanted)
        if isinstance(granted, Granted):
            sent.append(clock.now_ms / 1000)
            await process.release(granted)

    async with (
        limiter(clock, url=NOBODY) as a,
        limiter(clock, url=NOBODY) as b,
        limiter(clock, url=NOBODY) as c,
        limiter(clock, url=NOBODY) as d,
    ):
        for _step in range(600):
            for process in (a, b, c, d):
                await send(process)
            clock.advance(0.5)
    assert most_in_any_window(sent, 60) <= 40
    assert len(sent) >= 0.9 * 40 * 5


async def test_a_limit_smaller_than_the_processes_lets_one_through_in_turn() -> None:
    clock = Clock()
    async with limiter(clock, url=NOBODY, processes=4) as limits:
        wanted = demands(demand(per_minute=1))
        sent = 0
        for _second in range(40 * 60):
            sent += await grants_now(limits, wanted)
            clock.advance(1)
        assert sent == 10


async def test_connections_are_shared_out() -> None:
    async with limiter(Clock(), url=NOBODY, processes=4) as limits:
        wanted = demands(demand(connections=8))
        held = [await limits.admit(wanted) for _line in range(3)]
        assert [isinstance(one, Granted) for one in held] == [True, True, False]
        first = held[0]
        assert isinstance(first, Granted)
        await limits.release(first)
        assert isinstance(await limits.admit(wanted), Granted)


async def test_a_pause_this_process_learnt_of_is_kept() -> None:
    clock, relay = Clock(), fake_relay()
    async with limiter(clock, url=NOBODY) as limits:
        await limits.feedback(relay, "customer.example", THROTTLED)
        assert "is paused until" in (await meet_wait(limits, over(relay))).reason
        clock.advance(11)
        assert isinstance(await limits.admit(over(relay)), Granted)


async def test_when_redis_is_back_the_counts_are_made_anew_before_it_decides(servers: Servers) -> None:
    database, prefix = Remembering((0, 2)), new_prefix()
    wanted = demands(demand(per_minute=30))
    async with limiter(prefix=prefix, database=database) as limits:
        assert isinstance(await limits.admit(wanted), Granted)
        assert database.recalls == 1
        servers.valkey.stop()
        assert isinstance(await limits.admit(wanted), Granted)
        assert database.recalls == 2
        servers.valkey.restart()
        database.entries = ((0, 29),)
        limits._try_redis_at = time.monotonic()
        assert await grants_now(limits, wanted) == 1
        assert database.recalls == 3


async def test_a_script_that_is_wrong_is_no_outage() -> None:
    async with limiter() as limits:
        with pytest.raises(Exception, match="script"):
            await limits._ask({"op": "no such step"})


async def test_a_refusal_of_ours_that_is_no_limit_changes_nothing() -> None:
    relay = fake_relay()
    async with limiter(Clock(), url=NOBODY) as limits:
        refused = RelayRefused("rcpt", "550 5.1.1 no such user", code=550, enhanced="5.1.1")
        assert await limits.feedback(relay, "customer.example", refused) is None
        assert not isinstance(await limits.admit(over(relay)), Wait)
