import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection

from apps.blobs.errors import ObjectStoreUnavailable
from mailplatform import schedule as module
from mailplatform.schedule import LEADER_LOCK, Clock, Schedule

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ELECTION_SECONDS", 0.05)
    monkeypatch.setattr(module, "BACKOFF_SECONDS", 0.01)


@contextmanager
def running(*clocks: Clock) -> Iterator[Schedule]:
    schedule = Schedule(clocks)
    schedule.start()
    try:
        yield schedule
    finally:
        schedule.stop(5)


def test_a_clock_ticks_again_at_once_while_there_is_work() -> None:
    left, done = [3], threading.Event()

    def work() -> int:
        left[0] -= 1
        if left[0] == 0:
            done.set()
        return max(left[0], 0)

    with running(Clock("c", 3600.0, work)):
        assert done.wait(5)


def test_a_clock_with_a_batch_waits_for_its_next_tick_once_it_did_less() -> None:
    did, calls, waited = iter([100, 250, 99, 100]), [0], threading.Event()

    def work() -> int:
        calls[0] += 1
        return next(did)

    def other() -> int:
        if calls[0] >= 3:
            waited.set()
        return 0

    with running(Clock("c", 3600.0, work, batch=100), Clock("other", 0.01, other)):
        assert waited.wait(5)
    assert calls == [3]


@pytest.mark.parametrize(
    "failure", [OperationalError("away"), ObjectStoreUnavailable("away"), RuntimeError("a bug")]
)
def test_a_clock_that_failed_ticks_again(failure: Exception) -> None:
    calls, again = [0], threading.Event()

    def work() -> int:
        calls[0] += 1
        if calls[0] == 1:
            raise failure
        again.set()
        return 0

    with running(Clock("c", 0.01, work)) as schedule:
        assert again.wait(5)
        assert schedule.is_well()


def test_one_slow_clock_does_not_delay_another() -> None:
    may_end, ticked = threading.Event(), threading.Event()

    def slow() -> int:
        may_end.wait(10)
        return 0

    def quick() -> int:
        ticked.set()
        return 0

    with running(Clock("slow", 1.0, slow), Clock("quick", 0.01, quick)):
        assert ticked.wait(5)
        may_end.set()


def test_who_does_not_lead_waits_and_follows_when_the_lock_is_free() -> None:
    ticked = threading.Event()

    def work() -> int:
        ticked.set()
        return 0

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LEADER_LOCK])
        with running(Clock("c", 0.01, work)):
            assert not ticked.wait(0.5)
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LEADER_LOCK])
            assert ticked.wait(5)


def test_a_leader_that_stops_lets_go_of_the_lock() -> None:
    leads = threading.Event()

    def work() -> int:
        leads.set()
        return 0

    with running(Clock("c", 0.01, work)):
        assert leads.wait(5)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK])
        assert cursor.fetchone() == (True,)
        cursor.execute("SELECT pg_advisory_unlock(%s)", [LEADER_LOCK])
