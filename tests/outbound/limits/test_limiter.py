"""The limiter on a real Valkey, in simulated time: what it lets through, what it makes wait, and what it says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.outbound.causes import Cause
from apps.outbound.clocks import kept
from apps.outbound.limits.bounds import DAY_MS, HOUR_MS, MINUTE_MS, Bounds, Demand, Demands, Granted
from apps.outbound.limits.rules import Rules, line_demand
from apps.outbound.limits.script import LEASE_MS
from apps.outbound.models import EACH, Lane, LimitScope
from apps.outbound.waiting import Wait
from tests.outbound.limits.limiting import (
    Clock,
    Forgetful,
    connect,
    demand,
    demands,
    fake_relay,
    grants_now,
    limiter,
    meet_wait,
    most_in_any_window,
    new_prefix,
    take,
)

ONE_PART = 1 / 200


async def test_what_has_no_limit_is_granted_without_asking() -> None:
    async with limiter(url="redis://127.0.0.1:9/0") as limits:
        assert await grants_now(limits, demands(demand()), most=1000) == 1000


async def test_as_many_as_a_minute_allows_and_the_next_when_the_first_has_left_it() -> None:
    clock = Clock()
    async with limiter(clock) as limits:
        wanted = demands(demand(per_minute=30))
        assert await grants_now(limits, wanted) == 30
        clock.advance(59.9)
        assert await grants_now(limits, wanted) == 0
        clock.advance(0.1 + 60 * ONE_PART)
        assert await grants_now(limits, wanted) == 30


async def test_a_message_leaves_its_window_no_fraction_of_a_millisecond_too_early() -> None:
    """The clock's milliseconds are rounded down: what ended at 0.9 of one is not forgotten at the next window's 0.1."""
    clock = Clock()
    clock.now_ms += -clock.now_ms % 300  # where the window's parts round nothing up
    async with limiter(clock) as limits:
        wanted = demands(demand(per_minute=1))
        assert await grants_now(limits, wanted) == 1
        clock.advance(60)
        assert await grants_now(limits, wanted) == 0
        clock.advance(60 * ONE_PART)
        assert await grants_now(limits, wanted) == 1


async def test_a_wait_says_when_what_and_why() -> None:
    clock = Clock()
    async with limiter(clock) as limits:
        wanted = demands(demand(per_minute=30))
        await grants_now(limits, wanted)
        wait = await meet_wait(limits, wanted)
        assert wait.cause == Cause.RELAY_LIMIT
        assert wait.key == "relay:mail-1"
        assert wait.gap == timedelta(seconds=2)
        sent_at = datetime.fromtimestamp(clock.now_ms / 1000, UTC)
        assert timedelta(0) <= wait.until - sent_at - timedelta(minutes=1) <= timedelta(seconds=60 * ONE_PART)
        since = kept(wait.until - timedelta(minutes=1))
        assert wait.reason == f"Relay mail-1 allows 30 messages a minute; 30 were sent since {since}."


async def test_what_is_under_way_counts_and_goes_on_counting_from_its_end() -> None:
    clock = Clock()
    async with limiter(clock) as limits:
        wanted = demands(demand(per_minute=2))
        slow = await take(limits, wanted)
        await grants_now(limits, wanted)
        clock.advance(25)
        assert "2 were sent" in (await meet_wait(limits, wanted)).reason
        await limits.release(slow)
        clock.advance(36)
        assert (
            await grants_now(limits, wanted) == 1
        )  # the quick one's place; the slow one ended 36 seconds ago
        clock.advance(25)
        assert await grants_now(limits, wanted) == 1


async def test_what_was_never_begun_does_not_count() -> None:
    async with limiter(Clock()) as limits:
        wanted = demands(demand(per_minute=1))
        for _time in range(3):
            await limits.release(await take(limits, wanted), used=False)
        assert await grants_now(limits, wanted) == 1


async def test_a_destinations_limit_is_told_as_one_and_holds_up_only_whom_it_is_for() -> None:
    """An organisation's own bound is no reason to keep others from writing there."""
    async with limiter(Clock()) as limits:
        of_all = demand("slow.example", scope=LimitScope.DESTINATION, per_hour=1)
        waits = []
        for wanted in (of_all, replace(of_all, key=f"{of_all.key}@them", is_own=True)):
            await grants_now(limits, demands(wanted))
            waits.append(await meet_wait(limits, demands(wanted)))
        assert [one.cause for one in waits] == [Cause.DESTINATION_LIMIT] * 2
        assert [one.is_of_destination for one in waits] == [True, False]


async def test_all_or_nothing_over_several_limits() -> None:
    async with limiter(Clock()) as limits:
        relay = demand(per_minute=10)
        sender = demand("a@house.test", scope=LimitScope.SENDER, per_hour=3)
        assert await grants_now(limits, demands(relay, sender)) == 3
        wait = await meet_wait(limits, demands(relay, sender))
        assert (wait.cause, wait.key) == (Cause.SENDER_LIMIT, "sender:a@house.test")
        assert await grants_now(limits, demands(relay)) == 7, "a refused message took none of the relay's"


async def test_each_window_of_a_limit_holds_for_itself() -> None:
    clock = Clock()
    async with limiter(clock) as limits:
        wanted = demands(demand(per_minute=5, per_hour=12))
        sent = 0
        for _minute in range(4):
            sent += await grants_now(limits, wanted)
            clock.advance(61)
        assert sent == 12
        clock.advance(3600)
        assert await grants_now(limits, wanted) == 5


def bulk(wanted: Demand) -> Demands:
    return demands(replace(wanted, is_bulk=True))


async def test_bulk_leaves_a_tenth_of_a_window_to_answers() -> None:
    clock = Clock()
    async with limiter(clock) as limits:
        relay = demand(per_minute=30, per_day=500)
        assert await grants_now(limits, bulk(relay)) == 27
        wait = await meet_wait(limits, bulk(relay))
        assert wait.reason.startswith(
            "Relay mail-1 allows bulk mail 27 messages a minute; 27 were sent since"
        )
        clock.advance(30)
        assert await grants_now(limits, demands(relay)) == 3
        clock.advance(30 + 60 * ONE_PART)
        # The bulk of a minute ago has left the window; of what is free now answers may have all.
        assert await grants_now(limits, bulk(relay), most=5) == 5
        assert await grants_now(limits, demands(relay)) == 22
        assert await grants_now(limits, bulk(relay)) == 0


async def test_what_becomes_free_goes_to_answers_however_quickly_bulk_asks() -> None:
    clock = Clock()
    async with limiter(clock) as limits:
        relay = demand(per_minute=10)
        for _place in range(10):
            clock.advance(6)
            assert await grants_now(limits, demands(relay), most=1) == 1
        for _place in range(20):
            clock.advance(6 + 60 * ONE_PART)
            assert await grants_now(limits, bulk(relay)) == 0
            assert await grants_now(limits, demands(relay), most=1) == 1


async def test_bulk_leaves_a_connection_and_the_first_moment_after_a_gap_to_answers() -> None:
    clock = Clock()
    async with limiter(clock) as limits:
        lines = demand("mail-2", connections=3)
        held = [await take(limits, bulk(lines)) for _line in range(2)]
        assert "allows bulk mail 2 connections at once" in (await meet_wait(limits, bulk(lines))).reason
        held.append(await take(limits, demands(lines)))
        relay = demand(gap_ms=2000)
        await take(limits, bulk(relay))
        clock.advance(2)
        wait = await meet_wait(limits, bulk(relay))
        assert wait.reason == "Relay mail-1 is sent bulk mail at most once in 2.2 seconds."
        await take(limits, demands(relay))


def test_of_open_lines_bulk_leaves_one_too() -> None:
    relay = fake_relay()
    rules = Rules({(None, LimitScope.RELAY, EACH): Bounds(connections=3)})
    most = [
        found.kept.connections
        for lane in Lane
        if (found := line_demand(relay, rules, None, lane)) is not None
    ]
    assert dict(zip(Lane, most, strict=True)) == {Lane.INTERACTIVE: 3, Lane.BULK: 2}


async def test_a_limit_of_one_has_nothing_to_leave() -> None:
    async with limiter(Clock()) as limits:
        assert await grants_now(limits, bulk(demand(per_minute=1, connections=1))) == 1


async def test_what_bulk_leaves_free_at_a_destination_is_not_closed_to_others() -> None:
    async with limiter(Clock()) as limits:
        wanted = demand("slow.example", scope=LimitScope.DESTINATION, per_hour=10)
        await grants_now(limits, bulk(wanted))
        assert not (await meet_wait(limits, bulk(wanted))).is_of_destination
        assert await grants_now(limits, demands(wanted)) == 1


async def test_a_gap_is_from_beginning_to_beginning_however_long_each_takes() -> None:
    clock = Clock()
    async with limiter(clock) as limits:
        wanted = demands(demand(gap_ms=2000))
        first = await take(limits, wanted)
        clock.advance(1.9)
        wait = await meet_wait(limits, wanted)
        assert wait.reason == "Relay mail-1 is sent to at most once in 2 seconds."
        clock.advance(0.1)
        await take(limits, wanted)
        await limits.release(first)
        assert await grants_now(limits, wanted) == 0


async def test_connections_are_places_that_are_given_back() -> None:
    async with limiter(Clock()) as limits:
        wanted = demands(demand(connections=3))
        held = [await take(limits, wanted) for _place in range(3)]
        wait = await meet_wait(limits, wanted)
        assert wait.reason == "Relay mail-1 allows 3 connections at once, and all are in use."
        await limits.release(held[0])
        await limits.release(held[0])
        await take(limits, wanted)
        assert isinstance(await limits.admit(wanted), Wait), "a place given back twice is one place"


async def test_the_places_of_a_worker_that_died_lapse_and_count_as_sent() -> None:
    clock, prefix = Clock(), new_prefix()
    wanted = demands(demand(connections=1, per_minute=2))
    async with limiter(clock, prefix=prefix) as other:
        async with limiter(clock, prefix=prefix) as dying:
            await take(dying, wanted)
            dying._grants.clear()  # as a kill does: nothing is given back
        assert isinstance(await other.admit(wanted), Wait)
        clock.advance(LEASE_MS / 1000 + 1)
        assert await grants_now(other, wanted) == 1, (
            "the place is free, and one of two messages may have gone"
        )


async def test_a_second_bounds_beginnings_so_that_slow_conversations_still_reach_it() -> None:
    clock = Clock()
    async with limiter(clock) as limits:
        wanted = demands(demand(per_second=10))
        begun = 0
        under_way: list[tuple[int, Granted]] = []
        for _tenth in range(100):
            while isinstance(granted := await limits.admit(wanted), Granted):
                begun += 1
                under_way.append((clock.now_ms + 700, granted))
            clock.advance(0.1)
            for ends, one in [one for one in under_way if one[0] <= clock.now_ms]:
                await limits.release(one)
                under_way.remove((ends, one))
        assert 90 <= begun <= 100


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    per_minute=st.integers(1, 6),
    per_hour=st.integers(1, 15) | st.none(),
    connections=st.integers(1, 3) | st.none(),
    gap_ms=st.sampled_from([None, 500, 7000]),
    acts=st.lists(
        st.tuples(st.sampled_from(["admit", "admit", "release", "wait"]), st.integers(1, 40_000)),
        max_size=120,
    ),
)
async def test_it_agrees_with_a_simple_model(
    per_minute: int,
    per_hour: int | None,
    connections: int | None,
    gap_ms: int | None,
    acts: list[tuple[str, int]],
) -> None:
    """The model keeps every message with its beginning and end, and counts."""
    clock = Clock()
    limits_of = {MINUTE_MS: per_minute, HOUR_MS: per_hour}
    begun: list[int] = []
    ended: list[int] = []
    flying: list[Granted] = []

    def room(*, late_ms: int) -> bool:
        """Whether all limits have room, to a clock that is late by this much for what has ended."""
        now = clock.now_ms - late_ms
        for length, limit in limits_of.items():
            slack = late_ms and length // 200 + 1
            used = sum(end + length + slack > now for end in ended) + len(flying)
            if limit is not None and used >= limit:
                return False
        free_line = connections is None or len(flying) < connections
        return free_line and (gap_ms is None or not begun or begun[-1] + gap_ms <= clock.now_ms)

    async with limiter(clock) as limits:
        wanted = demands(
            demand(per_minute=per_minute, per_hour=per_hour, connections=connections, gap_ms=gap_ms)
        )
        for act, number in acts:
            if act == "admit":
                answer = await limits.admit(wanted)
                if isinstance(answer, Granted):
                    assert room(late_ms=0), "more than is allowed"
                    begun.append(clock.now_ms)
                    flying.append(answer)
                else:
                    assert not room(late_ms=1), answer.reason
                    assert answer.until.timestamp() * 1000 >= clock.now_ms
            elif act == "release" and flying:
                await limits.release(flying.pop(number % len(flying)))
                ended.append(clock.now_ms)
            else:
                # Leases are kept alive by a task that real time drives; here they never lapse between two acts.
                clock.advance(min(number, LEASE_MS // 2) / 1000)
                for one in flying:
                    await limits.renew(one)


async def test_two_relays_of_thirty_a_minute_take_a_thousand_mails_as_fast_as_both_allow() -> None:
    clock = Clock()
    async with limiter(clock) as limits:
        relays = [demand("mail-1", per_minute=30), demand("mail-2", per_minute=30)]
        sent: dict[str, list[float]] = {one.key: [] for one in relays}
        under_way: list[tuple[int, Granted]] = []
        while sum(map(len, sent.values())) < 1000:
            waits = []
            for relay in relays:
                while isinstance(answer := await limits.admit(demands(relay)), Granted):
                    # Each takes from 0.1 to 0.8 seconds, and reaches the server somewhere in between.
                    takes = 100 + 350 * (len(under_way) % 3)
                    under_way.append((clock.now_ms + takes, answer))
                    sent[relay.key].append((clock.now_ms + takes * 0.7) / 1000)
                waits.append(round(answer.until.timestamp() * 1000))
            clock.now_ms = max(clock.now_ms + 1, min([*waits, *(ends for ends, _one in under_way)]))
            for ends, one in [one for one in under_way if one[0] <= clock.now_ms]:
                await limits.release(one)
                under_way.remove((ends, one))
        for moments in sent.values():
            assert most_in_any_window(moments, 60) <= 30
        minutes = (max(max(moments) for moments in sent.values()) * 1000 - Clock().now_ms) / MINUTE_MS
        # The first thirty of each go at once, so 1,000 need 16 minutes and not 16⅔.
        assert minutes * 0.95 <= 1000 / 60 - 1 + 0.3, f"{minutes:.2f} minutes"


async def test_counts_of_a_day_are_not_forgotten_between_its_ends() -> None:
    clock = Clock()
    async with limiter(clock) as limits:
        wanted = demands(demand(per_day=100))
        sent = []
        for _hour in range(60):
            sent += [clock.now_ms / 1000.0] * await grants_now(limits, wanted, most=7)
            clock.advance(3600)
        assert most_in_any_window(sent, DAY_MS / 1000) <= 100
        assert len(sent) >= 200


async def test_after_a_flush_nothing_is_granted_until_every_worker_has_named_what_it_has_in_flight() -> None:
    prefix, clock = new_prefix(), Clock()
    async with (
        limiter(clock, prefix=prefix, settle_ms=4000) as one,
        limiter(clock, prefix=prefix, settle_ms=4000) as other,
    ):
        wanted = demands(demand(per_minute=3))
        assert isinstance(await other.admit(wanted), Wait)
        clock.advance(4)
        slow = [await take(one, wanted) for _conversation in range(2)]
        redis = connect()
        await redis.delete(*[key async for key in redis.scan_iter(f"{prefix}*")])
        await redis.aclose()
        wait = await meet_wait(other, wanted)
        assert wait.until.timestamp() * 1000 == clock.now_ms + 4000
        assert (wait.cause, wait.is_of_destination) == (Cause.LIMITS_UNKNOWN, False)
        assert wait.reason.startswith("What was sent lately is being counted")
        clock.advance(3)
        for granted in slow:
            await one.renew(granted)
        clock.advance(1)
        assert await grants_now(other, wanted) == 1


async def test_nothing_is_granted_before_the_counts_are_rebuilt_and_one_rebuilds() -> None:
    prefix, clock = new_prefix(), Clock()
    database = Forgetful()
    async with (
        limiter(clock, prefix=prefix, database=database) as one,
        limiter(clock, prefix=prefix, database=database) as other,
    ):
        wanted = demands(demand(per_minute=3))
        assert await grants_now(one, wanted) + await grants_now(other, wanted) == 3
        assert database.recalls == 1
