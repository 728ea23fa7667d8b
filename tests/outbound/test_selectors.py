"""Who sees which deliveries, how they are explained, and the queue in numbers."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from apps.mailboxes.errors import NotVisible
from apps.outbound.cause_titles import TITLES
from apps.outbound.causes import Cause
from apps.outbound.clocks import kept, on_the_clock
from apps.outbound.delivery import claim_due
from apps.outbound.figures import OVERDUE_SECONDS
from apps.outbound.models import Delivery, DeliveryState, Lane
from apps.outbound.selectors import (
    deliveries_by_message,
    deliveries_for,
    delivery_for,
    errors_for,
    explain,
    queue_figures,
)
from apps.outbound.wire.smtp_reply import server_words
from tests.outbound.sending import drain, send
from tests.people import House
from tests.remote.script import Phase, defer, hang_up, refuse
from tests.remote.server import RemoteServer

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_only_the_senders_side_sees_deliveries(house: House, stranger: House) -> None:
    submitted = send(house.as_alice, "bob@house.test", "elena@x.example", sender="alice@house.test")
    message, delivery = submitted.message, submitted.deliveries[0]
    for who in (house.as_alice, house.as_key):
        assert deliveries_by_message(who, [message])[message.pk] == submitted.deliveries
        assert deliveries_by_message(who, [message]) == {message.pk: submitted.deliveries}
        assert delivery_for(who, delivery.pk) == delivery
    for who in (house.as_bob, stranger.as_key, stranger.as_alice):
        assert deliveries_by_message(who, [message])[message.pk] == []
        assert deliveries_by_message(who, [message]) == {message.pk: []}
        assert not deliveries_for(who).exists()
        assert not errors_for(who).exists()
        with pytest.raises(NotVisible):
            delivery_for(who, delivery.pk)
    with pytest.raises(NotVisible):
        delivery_for(house.as_key, "not an id")


def test_the_error_queue_holds_what_needs_a_person(house: House, relay: RemoteServer) -> None:
    relay.play(Phase.RCPT, refuse(), recipient="gone@x.example")
    send(house.as_key, "gone@x.example", "elena@x.example", "nobody@house.test")
    drain()
    assert {one.recipient for one in errors_for(house.as_key)} == {"gone@x.example", "nobody@house.test"}


@pytest.mark.parametrize(
    ("fields", "icon", "sentence"),
    [
        (
            {"state": "scheduled", "cause": Cause.UNDO_WINDOW, "due_at": NOON + timedelta(seconds=10)},
            "wait",
            "Waiting: undo window until 12:00:10 UTC.",
        ),
        (
            {"state": "scheduled", "cause": Cause.SCHEDULE, "due_at": NOON + timedelta(days=2)},
            "wait",
            "To be sent later: Wed 4 Mar, 12:00 UTC.",
        ),
        (
            {"state": "queued", "cause": Cause.WAITING_FOR_WORKER, "due_at": NOON - timedelta(seconds=5)},
            "wait",
            "Waiting for a worker since 11:59:55 UTC.",
        ),
        (
            {
                "state": "deferred",
                "cause": Cause.RELAY_UNAVAILABLE,
                "reason": "10.0.0.1:25 is unavailable (connect): connection refused",
                "due_at": NOON + timedelta(seconds=7),
            },
            "wait",
            "Our relay could not take it: 10.0.0.1:25 is unavailable (connect): connection refused. "
            "Next try at 12:00:07 UTC.",
        ),
        (
            {
                "state": "deferred",
                "cause": Cause.RECIPIENT_UNAVAILABLE,
                "reason": "451 4.2.0 greylisted.",
                "due_at": NOON + timedelta(minutes=3),
            },
            "wait",
            "The recipient's side put it off: 451 4.2.0 greylisted. Next try at 12:03:00 UTC.",
        ),
        (
            {"state": "deferred", "cause": "a cause of later days", "due_at": NOON + timedelta(minutes=3)},
            "wait",
            "a cause of later days. Next try at 12:03:00 UTC.",
        ),
        ({"state": "sending"}, "wait", "It is being sent now."),
        (
            {"state": "sent", "reason": "Accepted by relay:25: 250 fine"},
            "good",
            "Accepted by relay:25: 250 fine.",
        ),
        ({"state": "delivered"}, "good", "It is in the Inbox."),
        (
            {"state": "uncertain", "cause": Cause.REPLY_LOST, "reason": "the line broke"},
            "bad",
            "Nobody can tell whether it arrived: the line broke. Decide before it is sent again.",
        ),
        ({"state": "failed", "reason": "550 5.1.1 no such user"}, "bad", "550 5.1.1 no such user."),
        (
            {"state": "expired", "reason": "451 busy"},
            "bad",
            "We gave up after trying for days. The last obstacle: 451 busy.",
        ),
        ({"state": "suppressed"}, "bad", "Suppressed"),
    ],
)
def test_every_state_is_told_in_one_sentence(fields: dict[str, object], icon: str, sentence: str) -> None:
    explanation = explain(Delivery(**fields), NOON)
    assert (explanation.icon, explanation.sentence) == (icon, sentence)
    assert explanation.next_attempt_at == fields.get("due_at")


def test_every_state_has_a_sentence() -> None:
    for state in DeliveryState:
        due_at = NOON if state in {"scheduled", "queued", "deferred"} else None
        assert explain(Delivery(state=state, due_at=due_at), NOON).sentence


def test_the_queue_in_numbers(house: House, stranger: House, relay: RemoteServer) -> None:
    relay.play(Phase.RCPT, defer(), recipient="busy@y.example")
    relay.play(Phase.RCPT, refuse(), recipient="gone@x.example")
    relay.play(Phase.DOT, hang_up(), recipient="lost@x.example")
    send(
        house.as_key,
        "busy@y.example",
        "gone@x.example",
        "lost@x.example",
        "elena@x.example",
        "bob@house.test",
    )
    drain()
    send(house.as_key, "later@x.example", hold_seconds=60)
    send(house.as_key, "next@x.example", "other@Y.example")
    claim_due(Lane.INTERACTIVE, limit=1)
    send(stranger.as_key, "foreign@x.example", sender="support@stranger.test")

    figures = queue_figures(house.as_key, timezone.now())
    assert figures.by_state == {
        "deferred": 1,
        "queued": 1,
        "sending": 1,
        "scheduled": 1,
        "uncertain": 1,
        "failed": 1,
        "sent": 1,
        "delivered": 1,
    }
    assert figures.depth == 3
    assert figures.workers_busy == 1
    assert {(one.domain, one.depth) for one in figures.by_destination} == {("y.example", 2), ("x.example", 1)}
    (by_relay,) = figures.by_relay
    assert (by_relay.waiting, by_relay.sent, by_relay.failed) == (1, 1, 1)
    assert figures.rates["sent_per_minute"] == pytest.approx(2 / 5)
    assert figures.latency["p50_seconds"] is not None
    assert 0 <= figures.latency["p50_seconds"] < 30
    assert {(one.cause, one.affected) for one in figures.diagnosis} == {
        ("recipient_unavailable", 1),
        ("reply_lost", 1),
    }
    assert all(one.evidence and one.action for one in figures.diagnosis)


def test_an_agent_sees_the_queue_of_the_mailboxes_she_sees(house: House) -> None:
    send(house.as_bob, "elena@x.example", sender="bob@house.test")
    send(house.as_alice, "elena@x.example", sender="alice@house.test")
    send(house.as_alice, "elena@x.example", sender="support@house.test")
    assert queue_figures(house.as_alice, timezone.now()).depth == 2
    assert queue_figures(house.as_key, timezone.now()).depth == 3


def test_a_queue_that_nobody_works_off_says_so(house: House) -> None:
    empty = queue_figures(house.as_key, timezone.now())
    assert (empty.depth, empty.oldest_due_seconds, empty.diagnosis) == (0, 0, [])
    send(house.as_key, "elena@x.example")
    later = timezone.now() + timedelta(seconds=2 * OVERDUE_SECONDS)
    figures = queue_figures(house.as_key, later)
    assert figures.oldest_due_seconds >= 2 * OVERDUE_SECONDS - 1
    assert [one.cause for one in figures.diagnosis] == ["waiting_for_worker"]


def test_our_own_times_are_told_on_the_askers_clock_and_a_servers_words_are_left() -> None:
    ours = f"Relay mail-1 allows 30 messages a minute; 30 were sent since {kept(NOON)}."
    yesterday = (
        f"Suppressed since {kept(NOON - timedelta(days=1))}, until {kept(NOON + timedelta(days=400))}."
    )
    theirs = "421 come again, since 10:02:14 UTC you sent enough, at 2026-03-02 10:02:14 UTC"
    with timezone.override("Europe/Berlin"):
        assert on_the_clock(ours, NOON).endswith("30 were sent since 13:00:00 CET.")
        told = on_the_clock(yesterday, NOON)
        assert told == "Suppressed since Sun 1 Mar, 13:00 CET, until Tue 6 Apr 2027, 14:00 CEST."
        assert on_the_clock(theirs, NOON) == theirs
    assert on_the_clock(ours, NOON).endswith("30 were sent since 12:00:00 UTC.")


def test_every_cause_has_a_heading_of_its_own() -> None:
    assert {cause.value for cause in Cause if cause} - set(TITLES) == set()


@pytest.mark.parametrize(
    ("code", "enhanced", "text"),
    [
        (450, "4.7.1", "450 4.7.1 Greylisted"),
        (450, "4.7.1", "4.7.1 Greylisted"),
        (450, "4.7.1", "Greylisted"),
        (None, "", "450 4.7.1 Greylisted"),
    ],
)
def test_a_servers_codes_are_said_once(code: int | None, enhanced: str, text: str) -> None:
    assert server_words(code, enhanced, text) == "450 4.7.1 Greylisted"
