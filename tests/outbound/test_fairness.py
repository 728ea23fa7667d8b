"""One drain and many destinations: what stalls, is limited or is bulk holds up nobody else."""

import asyncio
import threading
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from apps.outbound.causes import Cause
from apps.outbound.delivery import Claim, Evidence
from apps.outbound.draining.drain import Drain
from apps.outbound.models import Delivery, Lane
from apps.outbound.relay import Attempt, Fence, RelayRoad
from apps.outbound.waiting import Wait
from apps.outbound.wire.conversation import Timeouts
from apps.outbound.wire.payload import Payload
from tests.outbound.crowd import crowd
from tests.outbound.sending import QUICK, drain, send
from tests.people import House
from tests.polling import wait_until
from tests.remote.script import Phase, Stall
from tests.remote.server import RemoteServer

PATIENT = replace(QUICK, in_flight=32, relay=replace(QUICK.relay, timeouts=Timeouts()))


def stall_all(relay: RemoteServer, recipients: list[str]) -> Stall:
    """Whoever asks for one of these waits until the test lets go."""
    stall = Stall()
    for recipient in recipients:
        relay.play(Phase.RCPT, stall, recipient=recipient)
    return stall


def taken_at(relay: RemoteServer, domain: str) -> int:
    return sum(recipient.endswith(f"@{domain}") for recipient in relay.taken_by_recipient)


def test_a_destination_that_stalls_leaves_room_for_the_others(house: House, relay: RemoteServer) -> None:
    slow = [f"c{n}@slow.example" for n in range(100)]
    slower = [f"c{n}@slower.example" for n in range(100)]
    stall = stall_all(relay, slow + slower)
    send(house.as_key, *slow)
    send(house.as_key, *slower)
    send(house.as_key, *(f"c{n}@quick.example" for n in range(20)))
    worker = threading.Thread(target=drain, args=[PATIENT])
    worker.start()
    wait_until(lambda: taken_at(relay, "quick.example") == 20, what="the quick ones are sent")
    assert taken_at(relay, "slow.example") == taken_at(relay, "slower.example") == 0
    # One that comes later finds room too, although both queues before it are still full.
    send(house.as_key, "late@late.example")
    wait_until(lambda: taken_at(relay, "late.example") == 1, what="a later one is sent")
    relay.forget_script()
    assert stall.released.is_set()
    worker.join(60)
    assert set(relay.taken_by_recipient.values()) == {1}
    assert len(relay.messages) == 221


def test_bulk_that_stalls_delays_no_answer_to_a_customer(house: House, relay: RemoteServer) -> None:
    bulk = [f"c{n}@many{n % 7}.example" for n in range(100)]
    stall = stall_all(relay, bulk)
    send(house.as_key, *bulk, priority="low")
    send(house.as_key, "elena@many1.example")

    async def run_both() -> None:
        lanes = [Drain(lane, PATIENT) for lane in Lane]
        running = [asyncio.create_task(one.run()) for one in lanes]
        await asyncio.to_thread(stall.wait_reached)
        await asyncio.to_thread(
            wait_until, lambda: taken_at(relay, "many1.example") == 1, what="the customer has the answer"
        )
        assert len(relay.messages) == 1
        relay.forget_script()
        await asyncio.gather(*running)

    asyncio.run(run_both())
    assert len(relay.messages) == 101


class OneAtATime:
    """A limit in front of the real road: one message for each gap, and never two at once."""

    def __init__(self, gap: timedelta) -> None:
        self.gap = gap
        self.asked = 0
        self.free_at = timezone.now()
        self._ask_road = RelayRoad.attempt

    async def attempt(self, road: RelayRoad, claim: Claim, payload: Payload, fence: Fence) -> Attempt:
        self.asked += 1
        now = timezone.now()
        if now < self.free_at:
            wait = Wait(self.free_at, Cause.RELAY_UNAVAILABLE, "The relay takes 20 a second.", self.gap)
            return Attempt(Evidence(), waits=wait)
        self.free_at = now + self.gap
        return await self._ask_road(road, claim, payload, fence)


def stand_before_the_road(monkeypatch: pytest.MonkeyPatch, limit: OneAtATime) -> None:
    async def attempt(road: RelayRoad, claim: Claim, payload: Payload, fence: Fence) -> Attempt:
        return await limit.attempt(road, claim, payload, fence)

    monkeypatch.setattr(RelayRoad, "attempt", attempt)


def test_those_who_wait_for_a_limit_come_at_its_pace_and_use_up_no_attempt(
    house: House, relay: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = OneAtATime(timedelta(milliseconds=50))
    stand_before_the_road(monkeypatch, limit)
    send(house.as_key, *(f"c{n}@x.example" for n in range(30)))
    drain()
    assert set(Delivery.objects.values_list("state", "attempts_made", "setbacks")) == {("sent", 1, 0)}
    assert set(relay.taken_by_recipient.values()) == {1}
    # Each is asked for a few times: at first, and when its own moment has come.
    assert limit.asked < 30 * 6


def test_a_limit_that_ends_in_an_hour_is_told_and_the_drain_ends(
    house: House, relay: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = OneAtATime(timedelta(seconds=1))
    limit.free_at = timezone.now() + timedelta(hours=1)
    stand_before_the_road(monkeypatch, limit)
    send(house.as_key, *(f"c{n}@x.example" for n in range(30)))
    drain()
    assert limit.asked == 30
    waiting = Delivery.objects.filter(state="deferred", reason="The relay takes 20 a second.")
    assert waiting.count() == 30
    dues = [one.due_at for one in waiting if one.due_at is not None]
    assert min(dues) >= limit.free_at
    assert len(set(dues)) == 30
    assert not any(one.attempts.exists() for one in waiting)


@pytest.mark.django_db(transaction=True)
def test_a_destination_known_to_take_nothing_is_not_claimed_again_and_again(
    house: House, relay: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = send(house.as_key, "template@open.example")
    crowd(template, ["paused.example"], 1000, due="now() - interval '1 minute'")
    crowd(template, ["open.example"], 20)
    until = timezone.now() + timedelta(hours=1)
    asked: Counter[str] = Counter()
    ask_road = RelayRoad.attempt

    async def attempt(road: RelayRoad, claim: Claim, payload: Payload, fence: Fence) -> Attempt:
        asked[claim.destination] += 1
        if claim.destination == "paused.example":
            wait = Wait(until, Cause.DESTINATION_LIMIT, "421 4.7.0 come later", is_of_destination=True)
            return Attempt(Evidence(), waits=wait)
        return await ask_road(road, claim, payload, fence)

    monkeypatch.setattr(RelayRoad, "attempt", attempt)
    drain(replace(QUICK, in_flight=32))
    assert taken_at(relay, "open.example") == 21
    assert asked["paused.example"] <= 32
    paused = Delivery.objects.filter(destination="paused.example")
    assert set(paused.values_list("state", "cause", "reason", "attempts_made")) == {
        ("deferred", "destination_limit", "421 4.7.0 come later", 0)
    }
    earliest: datetime | None = min(one.due_at for one in paused if one.due_at is not None)
    assert earliest is not None and earliest >= until
