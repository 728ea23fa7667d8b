import threading
from collections.abc import Sequence

import pytest
from django.db import connection, transaction
from django.db.models import Q
from pytest_django import DjangoAssertNumQueries

from apps.events import services
from apps.events.models import Cursor, Event
from apps.events.services import (
    SEQUENCER_LOCK,
    Consumer,
    Consumers,
    consume,
    publish,
    sequence_committed,
)
from tests.people import House, build_house


def test_an_event_exists_exactly_when_what_it_tells_of_does(house: House) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        publish(house.organisation.pk, "thing.happened")
        _ = 1 / 0
    assert not Event.objects.exists()


def test_numbers_are_given_in_order_and_without_gaps(house: House) -> None:
    for _ in range(5):
        publish(house.organisation.pk, "thing.happened")
    assert sequence_committed(limit=3) == 3
    assert sequence_committed() == 2
    assert sequence_committed() == 0
    assert list(Event.objects.order_by("id").values_list("sequence", flat=True)) == [1, 2, 3, 4, 5]


@pytest.mark.django_db(transaction=True)
def test_an_event_that_commits_late_is_not_skipped() -> None:
    """A reader that went by row ids would have passed the late one for good."""
    house = build_house("Late", "late.test")
    inserted, may_commit = threading.Event(), threading.Event()

    def slow_transaction() -> None:
        with transaction.atomic():
            publish(house.organisation.pk, "late")
            inserted.set()
            may_commit.wait(10)
        connection.close()

    thread = threading.Thread(target=slow_transaction)
    thread.start()
    assert inserted.wait(10)
    publish(house.organisation.pk, "early")
    sequence_committed()
    seen: list[str] = []

    def handle(events: Sequence[Event]) -> None:
        seen.extend(event.kind for event in events)

    consume("reader", handle)
    assert seen == ["early"]
    may_commit.set()
    thread.join(10)
    sequence_committed()
    consume("reader", handle)
    assert seen == ["early", "late"]


@pytest.mark.django_db(transaction=True)
def test_only_one_sequencer_numbers_at_a_time() -> None:
    house = build_house("Two", "two.test")
    publish(house.organisation.pk, "thing.happened")
    held, may_end = threading.Event(), threading.Event()

    def other_sequencer() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEQUENCER_LOCK])
            held.set()
            may_end.wait(10)
        connection.close()

    thread = threading.Thread(target=other_sequencer)
    thread.start()
    assert held.wait(10)
    assert sequence_committed() == 0
    may_end.set()
    thread.join(10)
    assert sequence_committed() == 1


def test_a_consumer_that_fails_gets_the_same_events_again(house: House) -> None:
    publish(house.organisation.pk, "thing.happened")
    sequence_committed()

    def fail(events: Sequence[Event]) -> None:
        raise RuntimeError("not today")

    with pytest.raises(RuntimeError, match="not today"):
        consume("reader", fail)
    got: list[Event] = []
    assert consume("reader", got.extend) == 1
    assert consume("reader", got.extend) == 0
    assert len(got) == 1
    assert Cursor.objects.get(name="reader").sequence == got[0].sequence


def test_a_consumer_passes_by_what_is_none_of_its_own(house: House) -> None:
    for kind in ("mine", "other", "mine", "other", "mine", "other"):
        publish(house.organisation.pk, kind)
    sequence_committed()
    got = list[int | None]()

    def handle(events: Sequence[Event]) -> None:
        got.extend(event.sequence for event in events)

    def read() -> int:
        return consume("reader", handle, only=Q(kind="mine"), limit=2)

    # Up to the last of two, and then past the rest.
    assert (read(), got) == (3, [1, 3])
    assert (read(), got) == (3, [1, 3, 5])
    assert (read(), got) == (0, [1, 3, 5])


def test_a_consumer_passes_by_no_more_than_a_portion_at_a_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "PASSED_AT_ONCE", 2)
    for kind in ("other", "other", "other", "mine", "other"):
        publish(house.organisation.pk, kind)
    sequence_committed()
    got = list[Event]()
    passed = [consume("reader", got.extend, only=Q(kind="mine")) for _ in range(4)]
    assert (passed, [event.kind for event in got]) == ([2, 2, 1, 0], ["mine"])


def test_consumers_that_read_together_get_each_what_it_wants_and_one_that_fails_holds_up_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "REST_SECONDS", 0.0)
    monkeypatch.setattr(services, "EVENTS_AT_ONCE", 3)
    for kind in ("a", "b", "other", "a", "b", "a"):
        publish(house.organisation.pk, kind)
    sequence_committed()
    got_a, got_all, got_late = list[Event](), list[Event](), list[Event]()
    is_ill = [True]

    def fail_first(events: Sequence[Event]) -> None:
        if is_ill:
            is_ill.clear()
            raise RuntimeError("not today")
        got_late.extend(events)

    together = Consumers(
        Consumer("of a", got_a.extend, only=Q(kind="a")),
        Consumer("of all", got_all.extend),
        Consumer("ill at first", fail_first, only=Q(kind="b")),
    )
    passed = list[int]()
    while not passed or passed[-1]:
        passed.append(together.read_on())
    assert [event.kind for event in got_all] == ["a", "b", "other", "a", "b", "a"]
    assert [event.sequence for event in got_a] == [1, 4, 6]
    assert [event.sequence for event in got_late] == [2, 5]
    assert set(Cursor.objects.values_list("sequence", flat=True)) == {6}


def test_consumers_at_one_place_ask_for_the_log_once(
    house: House, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(3):
        publish(house.organisation.pk, "a")
    sequence_committed()
    together = Consumers(*(Consumer(name, lambda _events: None, only=Q(kind="a")) for name in "xyz"))
    assert together.read_on() == 3
    publish(house.organisation.pk, "a")
    sequence_committed()
    # The end of the log, the places, the events; then a savepoint, the place and its release for each.
    with django_assert_num_queries(3 + 3 * 3):
        assert together.read_on() == 1
    with django_assert_num_queries(2):
        assert together.read_on() == 0


def test_a_place_that_another_process_moved_meanwhile_is_left_where_it_is(house: House) -> None:
    publish(house.organisation.pk, "a")
    sequence_committed()
    got = list[Event]()

    def hurry(_events: Sequence[Event]) -> None:
        """As another process would, between our reading and our writing."""
        assert consume("second", got.extend) == 1

    together = Consumers(Consumer("first", hurry), Consumer("second", got.extend))
    assert together.read_on() == 1
    assert len(got) == 1
