"""Places: a destination that stalls leaves room for the others."""

import uuid
from datetime import timedelta

from django.utils import timezone

from apps.outbound.draining.places import Places
from apps.outbound.draining.policy import DrainPolicy

NOW = timezone.now()


def fill(places: Places, destination: str) -> int:
    """Take as many places for one destination as it gets; how many."""
    room = places.room(10_000, NOW)
    count = min(room.limit, room.places.get(destination, room.each))
    for _ in range(count):
        places.take(uuid.uuid4(), destination)
    return count


def test_however_many_destinations_stall_there_is_room_for_the_next() -> None:
    places = Places(256)
    taken = [fill(places, f"dead{n}.example") for n in range(7)]
    assert taken == [128, 64, 32, 16, 8, 4, 2]
    assert places.free == 2
    assert fill(places, "alive.example") == 1


def test_a_full_destination_gets_no_further_place_until_one_is_given_back() -> None:
    places = Places(8)
    assert fill(places, "slow.example") == 4
    assert places.room(8, NOW).places["slow.example"] == 0
    token = next(iter(places._held))
    assert places.give_back(token)
    assert places.room(8, NOW).places["slow.example"] == 1


def test_giving_back_a_place_that_nobody_waited_for_is_no_news() -> None:
    places = Places(8)
    token = uuid.uuid4()
    places.take(token, "x.example")
    assert not places.give_back(token)
    assert places.room(8, NOW).places == {}


def test_a_closed_destination_has_no_place_until_its_time() -> None:
    places = Places(8)
    places.close("paused.example", NOW + timedelta(seconds=30))
    assert places.room(8, NOW).places == {"paused.example": 0}
    assert places.room(8, NOW + timedelta(seconds=31)).places == {}


def test_a_relay_has_a_line_for_every_place_so_that_places_alone_say_who_waits() -> None:
    policy = DrainPolicy()
    assert policy.relay.connections >= policy.in_flight
