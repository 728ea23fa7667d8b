"""Waiting for a limit: everybody gets a moment of their own, at about the limit's pace."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from django.utils import timezone

from apps.outbound.causes import Cause
from apps.outbound.waiting import HORIZON, Schedule, Wait, soonest

NOW = timezone.now()


def wait(seconds: float, gap: float | None = None, reason: str = "30 a minute") -> Wait:
    return Wait(
        NOW + timedelta(seconds=seconds),
        Cause.DESTINATION_LIMIT,
        reason,
        timedelta(seconds=gap) if gap is not None else None,
    )


def test_those_who_wait_for_one_limit_come_one_after_the_other_and_none_too_early() -> None:
    schedule = Schedule(lambda: 0.5)
    moments = [schedule.place(wait(2, gap=2), "x.example", NOW) for _ in range(10)]
    assert moments == [NOW + timedelta(seconds=2 + 2 * n) for n in range(10)]


def test_those_who_may_take_either_of_two_ways_come_at_the_pace_of_both() -> None:
    one, other = replace(wait(60, gap=2), key="a"), replace(wait(61, gap=3), key="b")
    both = soonest([other, one])
    assert (both.until, both.gap) == (one.until, timedelta(seconds=1.2))
    assert soonest([one, other]).key == both.key not in {one.key, other.key}


def test_a_way_that_has_room_only_much_later_adds_nothing_to_the_pace() -> None:
    one, later, unknown = wait(1, gap=2), wait(3600, gap=2), wait(1.5)
    assert soonest([later, one, unknown]) == one
    assert soonest([replace(unknown, until=NOW), one]).gap is None


def test_without_a_known_pace_they_come_rather_too_early_than_too_late() -> None:
    schedule = Schedule(lambda: 0.5)
    moments = [schedule.place(wait(2), "x.example", NOW) for _ in range(10)]
    gaps = {later - earlier for earlier, later in pairwise(moments)}
    assert moments[0] == NOW + timedelta(seconds=2)
    assert gaps == {timedelta(seconds=1)}


def test_a_pause_of_hours_does_not_put_hours_between_them() -> None:
    schedule = Schedule(lambda: 0.5)
    moments = [schedule.place(wait(36_000), "x.example", NOW) for _ in range(100)]
    assert moments[-1] - moments[0] < timedelta(minutes=2)


def test_other_limits_have_schedules_of_their_own() -> None:
    schedule = Schedule(lambda: 0.5)
    for _ in range(5):
        schedule.place(wait(2, gap=2), "x.example", NOW)
    assert schedule.place(wait(2, gap=2), "y.example", NOW) == NOW + timedelta(seconds=2)


def test_nobody_is_put_off_beyond_the_horizon() -> None:
    schedule = Schedule(lambda: 0.25)
    latest = max(schedule.place(wait(2, gap=2), "x.example", NOW) for _ in range(5000))
    assert latest <= NOW + timedelta(seconds=2) + HORIZON


def test_a_moment_that_has_passed_is_not_given() -> None:
    schedule = Schedule(lambda: 0.5)
    assert schedule.place(wait(-5), "x.example", NOW) > NOW
