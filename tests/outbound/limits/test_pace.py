"""What a provider's limit does to our pace: a pause, half the speed, and even steps back."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from apps.outbound.causes import Cause
from apps.outbound.errors import RelayRefused
from apps.outbound.limits.bounds import Demands, Granted
from apps.outbound.limits.limiter import Limiter
from apps.outbound.limits.rules import relay_demand, relay_destination_demand
from apps.outbound.waiting import Wait
from tests.outbound.limits.limiting import (
    Clock,
    FakeRelay,
    Forgetful,
    demands,
    fake_relay,
    limiter,
    meet_wait,
    new_prefix,
    take,
)

THROTTLED = RelayRefused("mail", "454 4.7.0 Throttling failure: Maximum sending rate exceeded", code=454)
STATED = RelayRefused("mail", "450 4.7.0 Rate limit reached, try again in 90 seconds", code=450)
CONNECTIONS = RelayRefused(
    "mail", "432 4.3.2 Concurrent connections limit exceeded", code=432, enhanced="4.3.2"
)
FULL = RelayRefused("rcpt", "452 4.2.2 Mailbox is full", code=452, enhanced="4.2.2")


def over(relay: FakeRelay, destination: str = "customer.example") -> Demands:
    return demands(relay_demand(relay), relay_destination_demand(relay, destination))


async def sent_in(limits: Limiter, clock: Clock, wanted: Demands, *, seconds: float) -> int:
    """How many go in this time, each at once when it may."""
    sent, until = 0, clock.now_ms + seconds * 1000
    while clock.now_ms < until:
        answer = await limits.admit(wanted)
        if isinstance(answer, Granted):
            sent += 1
            await limits.release(answer)
        else:
            clock.now_ms = max(clock.now_ms + 1, round(answer.until.timestamp() * 1000))
    return sent


async def test_a_recognised_limit_pauses_the_relay_and_says_why() -> None:
    clock, relay = Clock(), fake_relay()
    async with limiter(clock, database=Forgetful(accepted=60)) as limits:
        told = await limits.feedback(relay, "customer.example", THROTTLED)
        assert told is not None and told.provider == "Amazon SES"
        wait = await meet_wait(limits, over(relay))
        assert wait.cause == Cause.PROVIDER_LIMIT
        assert wait.until.timestamp() * 1000 == clock.now_ms + 10_000
        assert wait.reason.startswith("Relay mail-1 is paused until ")
        assert wait.reason.endswith(": Amazon SES answered 454 (sending too fast).")
        await take(limits, over(fake_relay("mail-2")))


async def test_the_time_a_server_states_is_kept() -> None:
    clock, relay = Clock(), fake_relay()
    async with limiter(clock, database=Forgetful()) as limits:
        await limits.feedback(relay, "customer.example", STATED)
        wait = await meet_wait(limits, over(relay))
        assert wait.until.timestamp() * 1000 == clock.now_ms + 90_000


async def test_after_the_pause_we_go_at_half_the_speed_and_a_tenth_more_each_minute() -> None:
    clock, relay = Clock(), fake_relay()
    async with limiter(clock, database=Forgetful(accepted=60)) as limits:
        await limits.feedback(relay, "customer.example", THROTTLED)
        clock.advance(10)
        minutes = [await sent_in(limits, clock, over(relay), seconds=60) for _minute in range(6)]
        assert minutes[0] == pytest.approx(30 + 3, abs=2)
        steps = [later - earlier for earlier, later in pairwise(minutes)]
        assert all(4 <= step <= 8 for step in steps), minutes
        clock.advance(3600)
        assert isinstance(await limits.admit(over(relay)), Granted)
        assert isinstance(await limits.admit(over(relay)), Granted), "the pace is given up"


async def test_many_conversations_meet_one_limit_once() -> None:
    clock, relay, prefix = Clock(), fake_relay(), new_prefix()
    async with (
        limiter(clock, prefix=prefix, database=Forgetful(accepted=60)) as one,
        limiter(clock, prefix=prefix, database=Forgetful(accepted=60)) as other,
    ):
        for _conversation in range(5):
            await one.feedback(relay, "customer.example", THROTTLED)
            await other.feedback(relay, "customer.example", THROTTLED)
        clock.advance(10)
        assert await sent_in(one, clock, over(relay), seconds=60) >= 30


async def test_a_limit_met_again_halves_again_and_pauses_longer() -> None:
    clock, relay = Clock(), fake_relay()
    async with limiter(clock, database=Forgetful(accepted=60)) as limits:
        await limits.feedback(relay, "customer.example", THROTTLED)
        clock.advance(11)
        await limits.feedback(relay, "customer.example", THROTTLED)
        wait = await meet_wait(limits, over(relay))
        assert wait.until.timestamp() * 1000 == clock.now_ms + 20_000
        clock.advance(20)
        assert await sent_in(limits, clock, over(relay), seconds=60) == pytest.approx(16.5, abs=2)


async def test_of_a_slower_pace_too_bulk_leaves_a_tenth_to_answers() -> None:
    clock, relay = Clock(), fake_relay()
    in_bulk = Demands(tuple(replace(part, is_bulk=True) for part in over(relay).parts))
    async with limiter(clock, database=Forgetful(accepted=60)) as limits:
        await limits.feedback(relay, "customer.example", THROTTLED)
        clock.advance(10)
        await limits.release(await take(limits, in_bulk))
        clock.advance(2)  # thirty a minute
        assert isinstance(await limits.admit(in_bulk), Wait)
        await take(limits, over(relay))


async def test_a_limit_on_connections_halves_the_connections() -> None:
    clock, relay = Clock(), fake_relay()
    async with limiter(clock) as limits:
        flying = [await limits.admit(over(relay)) for _line in range(3)]
        assert all(isinstance(one, Granted) for one in flying)
        await limits.feedback(relay, "customer.example", CONNECTIONS)
        clock.advance(30)
        first = await take(limits, over(relay))
        wait = await meet_wait(limits, over(relay))
        assert "slowed to 1 connection for now: Microsoft answered 432 4.3.2" in wait.reason
        await limits.release(first)
        clock.advance(61)
        for _line in range(2):
            await take(limits, over(relay))
        assert isinstance(await limits.admit(over(relay)), Wait)


async def test_other_workers_learn_of_it_and_only_that_destination_waits_when_sent_directly() -> None:
    clock, relay, prefix = Clock(), fake_relay("direct"), new_prefix()
    async with limiter(clock, prefix=prefix) as one, limiter(clock, prefix=prefix) as other:
        await one.feedback(relay, "customer.example", STATED, direct=True)
        wait = await meet_wait(other, over(relay))
        assert wait.reason.startswith("Relay direct to customer.example is paused until ")
        await take(other, over(relay, "elsewhere.example"))


async def test_what_is_the_recipients_slows_nobody_down() -> None:
    relay = fake_relay()
    async with limiter(Clock()) as limits:
        told = await limits.feedback(relay, "customer.example", FULL)
        assert told is not None and told.wait == timedelta(hours=1)
        await take(limits, over(relay))
