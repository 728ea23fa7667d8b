"""Limits on the whole road out: a drain against providers that have limits, and say so in their own words."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from apps.outbound.causes import Cause
from apps.outbound.explanations import explain
from apps.outbound.limits import gate
from apps.outbound.limits.limiter import open_limiter
from apps.outbound.models import Delivery, DeliveryAttempt, Lane, LimitScope, Relay, SendingLimit
from apps.outbound.relays.environment import reconcile_relays
from apps.outbound.wire.envelope import Timeouts
from tests.outbound.sending import QUICK, drain, make_due, only_delivery, send
from tests.people import House
from tests.polling import wait_until
from tests.remote.providers import Greylisting, LimitedProvider, Throttling
from tests.remote.script import Phase, Stall, refuse
from tests.remote.server import RemoteServer
from tests.servers import Servers

ONE_LINE = replace(QUICK, relay=replace(QUICK.relay, connections=1))

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_counted_yet(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody else to wait for, who might have something in flight."""
    monkeypatch.setattr(gate, "open_limiter", partial(open_limiter, settle_ms=0))
    servers.valkey.flush()


@pytest.fixture
def start() -> Iterator[Any]:
    """Start servers, and make them the relays in this order."""
    with ExitStack() as running:

        def start_all(*remotes: RemoteServer) -> list[Relay]:
            for remote in remotes:
                running.enter_context(remote)
            return reconcile_relays([f"{remote.url}?tls=none" for remote in remotes])

        yield start_all


def limit(scope: LimitScope, subject: str = "*", **bounds: Any) -> SendingLimit:
    now = timezone.now()
    bounds.setdefault("organisation", None)
    return SendingLimit.objects.create(scope=scope, subject=subject, created_at=now, updated_at=now, **bounds)


def send_many(house: House, number: int) -> None:
    send(house.as_key, *(f"c{n}@customer.example" for n in range(number)))


def states() -> Counter[tuple[str, str, int]]:
    return Counter(Delivery.objects.values_list("state", "cause", "setbacks"))


def thirty_a_minute(*, connections: int = 1000) -> LimitedProvider:
    return LimitedProvider(messages=30, window_seconds=60, connections=connections)


def test_a_relay_gets_what_it_allows_and_the_rest_waits_with_the_reason(house: House, start: Any) -> None:
    provider = thirty_a_minute(connections=3)
    start(provider)
    limit(LimitScope.RELAY, per_minute=30, connections=3)
    send_many(house, 40)
    drain()
    assert states() == {("sent", "", 0): 30, ("deferred", Cause.RELAY_LIMIT, 0): 10}
    assert provider.trespasses == {}
    assert provider.most_connections <= 3
    waiting = Delivery.objects.filter(state="deferred")
    assert all("allows 30 messages a minute; 30 were sent since" in one.reason for one in waiting)
    soonest = timezone.now() + timedelta(seconds=30)
    assert all(one.due_at is not None and one.due_at > soonest for one in waiting)
    make_due()
    drain()
    assert provider.trespasses == {}, "who comes too early is told to wait again"


def test_idle_lines_count_for_an_organisations_own_bound_and_are_closed_while_a_message_takes_long(
    house: House, start: Any
) -> None:
    """Each worker has lines of its own; the provider counts them together."""
    provider = LimitedProvider(messages=1000, window_seconds=60, connections=3)
    start(provider)
    Relay.objects.update(organisation=house.organisation, from_environment=False)
    limit(LimitScope.RELAY, organisation=house.organisation, connections=3)
    slow, quick = Stall(), Stall()
    for n, stall in enumerate((slow, quick, quick)):
        provider.play(Phase.RCPT, stall, recipient=f"c{n}@customer.example")
    send_many(house, 3)
    policy = replace(QUICK, relay=replace(QUICK.relay, timeouts=Timeouts(), idle_seconds=0.2))
    first_worker = threading.Thread(target=drain, args=[policy])
    first_worker.start()
    wait_until(lambda: provider.open_connections == 3, what="three lines are open")
    quick.release()
    wait_until(lambda: len(provider.messages) == 2, what="two of them are idle")
    send(house.as_key, *(f"d{n}@customer.example" for n in range(5)))
    for _round in range(20):
        drain(policy)
        make_due()
        if len(provider.messages) == 7:
            break
    assert len(provider.messages) == 7
    assert first_worker.is_alive()
    slow.release()
    first_worker.join(20)
    assert provider.trespasses == {}
    assert provider.most_connections == 3


def test_bulk_that_uses_up_a_days_limit_delays_no_answer(house: House, start: Any) -> None:
    provider = RemoteServer()
    start(provider)
    limit(LimitScope.RELAY, per_day=30)
    limit(LimitScope.ORGANISATION, per_day=30)
    send(house.as_key, *(f"b{n}@customer.example" for n in range(40)), priority="bulk")
    drain(lane=Lane.BULK)
    assert states() == {("sent", "", 0): 27, ("deferred", Cause.RELAY_LIMIT, 0): 13}
    reasons = " ".join(Delivery.objects.filter(state="deferred").values_list("reason", flat=True))
    assert "allows bulk mail 27 messages in 24 hours; 27 were sent since" in reasons
    answer = only_delivery(send(house.as_key, "elena@customer.example"))
    drain()
    answer.refresh_from_db()
    assert answer.state == "sent"


def test_bulk_that_holds_on_to_a_relays_connections_delays_no_answer(house: House, start: Any) -> None:
    provider = LimitedProvider(messages=1000, window_seconds=60, connections=3)
    start(provider)
    limit(LimitScope.RELAY, connections=3)
    bulk = [f"b{n}@many{n}.example" for n in range(10)]
    stall = Stall()
    for recipient in bulk:
        provider.play(Phase.RCPT, stall, recipient=recipient)
    send(house.as_key, *bulk, priority="bulk")
    patient = replace(QUICK, relay=replace(QUICK.relay, timeouts=Timeouts()))
    worker = threading.Thread(target=drain, args=[patient, Lane.BULK])
    worker.start()
    wait_until(lambda: provider.open_connections == 2, what="bulk has what it may have")
    answer = only_delivery(send(house.as_key, "elena@customer.example"))
    drain(patient)
    answer.refresh_from_db()
    assert (answer.state, len(provider.messages)) == ("sent", 1)
    stall.release()
    worker.join(60)
    assert provider.trespasses == {}


def test_two_relays_together_take_what_both_allow(house: House, start: Any) -> None:
    providers = [thirty_a_minute(connections=3), thirty_a_minute(connections=3)]
    start(*providers)
    limit(LimitScope.RELAY, per_minute=30, connections=3)
    send_many(house, 70)
    drain()
    assert [len(one.messages) for one in providers] == [30, 30]
    assert [one.trespasses for one in providers] == [{}, {}]
    assert states() == {("sent", "", 0): 60, ("deferred", Cause.RELAY_LIMIT, 0): 10}


def test_redis_flushed_between_two_drains_costs_no_relay_a_message_too_many(
    house: House, start: Any, servers: Servers
) -> None:
    provider = thirty_a_minute()
    start(provider)
    limit(LimitScope.RELAY, per_minute=30)
    send_many(house, 20)
    drain()
    servers.valkey.flush()
    send_many(house, 20)
    drain()
    assert len(provider.messages) == 30
    assert provider.trespasses == {}


def test_while_what_was_sent_is_being_counted_that_is_what_mail_waits_for(
    house: House, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "open_limiter", open_limiter)
    provider = thirty_a_minute()
    start(provider)
    limit(LimitScope.DESTINATION, "customer.example", per_minute=30)
    delivery = only_delivery(send(house.as_key, "elena@customer.example"))
    drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.cause, delivery.setbacks) == ("deferred", Cause.LIMITS_UNKNOWN, 0)
    assert explain(delivery, timezone.now() - timedelta(minutes=1)).sentence.startswith(
        "What was sent lately is being counted from the record of attempts"
    )
    assert provider.messages == []


def test_with_redis_away_a_worker_sends_its_share(house: House, start: Any, servers: Servers) -> None:
    provider = thirty_a_minute()
    start(provider)
    limit(LimitScope.RELAY, per_minute=30)
    send_many(house, 40)
    servers.valkey.stop()
    drain()
    assert len(provider.messages) == 30 // 4
    assert states()["deferred", Cause.RELAY_LIMIT, 0] == 40 - 30 // 4
    servers.valkey.restart()
    make_due()
    drain()
    assert len(provider.messages) == 30
    assert provider.trespasses == {}


def test_a_relay_that_has_had_enough_pauses_and_another_one_takes_over(house: House, start: Any) -> None:
    throttling, other = Throttling(first=5), RemoteServer()
    start(throttling, other)
    send_many(house, 40)
    drain(ONE_LINE)
    assert states() == {("sent", "", 0): 40}
    assert (len(throttling.messages), len(other.messages)) == (5, 35)
    asked_before = len(throttling.commands_of("MAIL"))
    send_many(house, 5)
    drain()
    assert len(throttling.commands_of("MAIL")) == asked_before, "a paused relay is not even asked"
    assert len(other.messages) == 40


def test_where_no_other_relay_is_left_a_providers_limit_is_waited_for(house: House, start: Any) -> None:
    throttling = Throttling(first=2)
    start(throttling)
    send_many(house, 20)
    drain(ONE_LINE)
    assert states() == {("sent", "", 0): 2, ("deferred", Cause.PROVIDER_LIMIT, 0): 18}
    reasons = " ".join(Delivery.objects.filter(state="deferred").values_list("reason", flat=True))
    assert "454 4.7.0 Throttling failure: Daily message quota exceeded" in reasons
    in_an_hour = timezone.now() + timedelta(minutes=50)
    waiting = Delivery.objects.filter(state="deferred")
    assert all(one.due_at is not None and one.due_at > in_an_hour for one in waiting)


def test_a_quota_in_the_clothes_of_a_failure_fails_nobody(house: House, start: Any) -> None:
    gmail, other = RemoteServer(), RemoteServer()
    start(gmail, other)
    gmail.play(Phase.DOT, refuse(550, "5.4.5 Daily user sending limit exceeded. - gsmtp"))
    delivery = only_delivery(send(house.as_key, "elena@customer.example"))
    drain()
    delivery.refresh_from_db()
    assert (delivery.state, len(other.messages)) == ("sent", 1)


def test_greylisting_is_waited_for_as_long_as_the_server_said(house: House, start: Any) -> None:
    start(Greylisting())
    delivery = only_delivery(send(house.as_key, "elena@customer.example"))
    drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.cause) == ("deferred", Cause.GREYLISTED)
    assert delivery.due_at is not None
    assert timedelta(seconds=290) < delivery.due_at - timezone.now() < timedelta(seconds=331)
    make_due()
    drain()
    delivery.refresh_from_db()
    assert delivery.state == "sent"


def test_a_full_mailbox_neither_fails_nor_holds_up_others(house: House, start: Any) -> None:
    remote = RemoteServer()
    start(remote)
    remote.play(Phase.RCPT, refuse(452, "4.2.2 Mailbox full"), recipient="c1@customer.example")
    send_many(house, 3)
    drain()
    assert states() == {("sent", "", 0): 2, ("deferred", Cause.MAILBOX_FULL, 1): 1}


def test_a_message_too_large_for_one_relay_goes_over_another_and_fails_where_there_is_none(
    house: House, start: Any
) -> None:
    small, large = RemoteServer(), RemoteServer()
    relays = start(small, large)
    limit(LimitScope.RELAY, str(relays[0].pk), max_size_bytes=100)
    delivery = only_delivery(send(house.as_key, "elena@customer.example"))
    drain()
    assert (len(small.messages), len(large.messages)) == (0, 1)
    limit(LimitScope.RELAY, max_size_bytes=200)
    delivery = only_delivery(send(house.as_key, "elena@customer.example"))
    drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.cause) == ("failed", Cause.MESSAGE_REFUSED)
    assert "allows messages of" in delivery.reason


def test_limits_of_sender_organisation_and_destination_each_have_their_cause(
    house: House, start: Any
) -> None:
    remote = RemoteServer()
    start(remote)
    limit(LimitScope.SENDER, "support@house.test", per_hour=2)
    limit(LimitScope.DESTINATION, "slow.example", per_hour=1)
    limit(LimitScope.ORGANISATION, per_hour=5)
    send(house.as_key, *(f"s{n}@slow.example" for n in range(3)), sender=house.alice.email)
    drain()
    send_many(house, 3)
    drain()
    send(house.as_key, *(f"b{n}@customer.example" for n in range(3)), sender=house.bob.email)
    drain()
    causes = Counter(Delivery.objects.exclude(state="sent").values_list("cause", flat=True))
    assert causes == {Cause.DESTINATION_LIMIT: 2, Cause.SENDER_LIMIT: 1, Cause.ORGANISATION_LIMIT: 1}
    assert len(remote.messages) == 5


def test_a_wait_for_a_limit_is_no_attempt_that_counts(house: House, start: Any) -> None:
    start(RemoteServer())
    limit(LimitScope.RELAY, per_hour=1)
    send_many(house, 2)
    drain()
    for _time in range(3):
        make_due()
        drain()
    waiting = Delivery.objects.get(state="deferred")
    assert waiting.setbacks == 0
    assert not DeliveryAttempt.objects.filter(delivery=waiting, relay__isnull=False).exists()
