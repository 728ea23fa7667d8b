"""Several relays: what makes the next one be asked, what never does, and how mail comes back to the first."""

import email
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.outbound.causes import Cause
from apps.outbound.models import Delivery, DeliveryAttempt, DeliveryState, Relay, SendingPolicy
from apps.outbound.relays.environment import reconcile_relays
from apps.outbound.sweeper import sweep_deliveries
from tests.outbound.sending import QUICK, drain, only_delivery, send
from tests.people import House
from tests.remote.script import Answer, Phase, Step, defer, hang_up, refuse
from tests.remote.server import RemoteServer

RESTING = replace(
    QUICK, relay=replace(QUICK.relay, rests_after=2, rest_seconds=3600, rest_ceiling_seconds=3600)
)


@pytest.fixture
def two(transactional_db: None) -> Iterator[tuple[RemoteServer, RemoteServer]]:
    """Two servers, and RELAY_URL naming none."""
    reconcile_relays([])
    with ExitStack() as stack:
        yield stack.enter_context(RemoteServer()), stack.enter_context(RemoteServer())


def add(house: House, remote: RemoteServer, name: str, **columns: Any) -> Relay:
    usual = {"host": "127.0.0.1", "port": remote.port, "security": "none", "organisation": house.organisation}
    return Relay.objects.create(**{**usual, "name": name, **columns})


def add_both(house: House, two: tuple[RemoteServer, RemoteServer]) -> tuple[Relay, Relay]:
    return add(house, two[0], "first", priority=1), add(house, two[1], "second", priority=2)


@pytest.mark.parametrize(
    ("phase", "step"),
    [
        (Phase.CONNECT, hang_up()),
        (Phase.CONNECT, Answer(554, "5.7.1 your address is blocked")),
        (Phase.CONNECT, Answer(421, "4.7.0 too many connections")),
        (Phase.EHLO, refuse(550, "5.7.1 who are you")),
        (Phase.MAIL, refuse(550, "5.7.1 sender unwelcome")),
        (Phase.MAIL, defer(451, "4.3.1 disk full")),
        (Phase.RCPT, Answer(421, "4.3.2 closing down")),
        (Phase.DATA, hang_up()),
        (Phase.BODY, hang_up()),
    ],
)
def test_what_is_the_relays_own_trouble_is_passed_on_at_once(
    house: House, two: tuple[RemoteServer, RemoteServer], phase: Phase, step: Step
) -> None:
    _first, second = add_both(house, two)
    two[0].play(phase, step)
    delivery = only_delivery(send(house.as_key, "elena@x.example"))
    drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.relay, delivery.setbacks) == (DeliveryState.SENT, second, 0)
    assert (two[0].messages, len(two[1].messages)) == ([], 1)
    attempt = delivery.attempts.get()
    assert attempt.server == f"127.0.0.1:{two[1].port}"
    assert "before that, first: " in attempt.text


def test_a_wrong_password_is_passed_on_and_not_shown(
    house: House, two: tuple[RemoteServer, RemoteServer]
) -> None:
    first, _second = add_both(house, two)
    two[0].behave(users={"us": "right"})
    Relay.objects.filter(pk=first.pk).update(username="us", updated_at=timezone.now())
    delivery = only_delivery(send(house.as_key, "elena@x.example"))
    drain()
    assert delivery.attempts.get().outcome == DeliveryState.SENT


@pytest.mark.parametrize(
    ("phase", "step", "state"),
    [
        (Phase.RCPT, refuse(), DeliveryState.FAILED),
        (Phase.RCPT, defer(), DeliveryState.DEFERRED),
        (Phase.DATA, refuse(554, "5.6.0 no"), DeliveryState.FAILED),
        (Phase.DOT, refuse(554, "5.7.1 spam"), DeliveryState.FAILED),
        (Phase.DOT, defer(), DeliveryState.DEFERRED),
        (Phase.DOT, hang_up(), DeliveryState.UNCERTAIN),
        (Phase.DOT, hang_up(after_taking=True), DeliveryState.UNCERTAIN),
    ],
)
def test_what_is_said_about_the_recipient_or_lost_after_the_dot_is_never_passed_on(
    house: House, two: tuple[RemoteServer, RemoteServer], phase: Phase, step: Step, state: DeliveryState
) -> None:
    add_both(house, two)
    two[0].play(phase, step)
    delivery = only_delivery(send(house.as_key, "elena@x.example"))
    drain()
    delivery.refresh_from_db()
    assert delivery.state == state
    assert two[1].connections == 0


def test_a_mail_one_relay_has_not_the_means_for_goes_over_one_that_has(
    house: House, two: tuple[RemoteServer, RemoteServer]
) -> None:
    add_both(house, two)
    two[0].behave(smtputf8=False)
    send(house.as_key, "unal@x.example")
    Delivery.objects.update(recipient="ünal@x.example")
    drain()
    assert (two[0].messages, len(two[1].messages)) == ([], 1)


def test_another_organisations_relay_is_never_asked(
    house: House, stranger: House, two: tuple[RemoteServer, RemoteServer]
) -> None:
    add(stranger, two[0], "theirs")
    delivery = only_delivery(send(house.as_key, "elena@x.example"))
    drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.cause) == (DeliveryState.DEFERRED, Cause.NO_RELAY_SERVES)
    assert two[0].connections == 0


def test_a_pinned_delivery_waits_for_its_relay_while_others_are_well(
    house: House, two: tuple[RemoteServer, RemoteServer]
) -> None:
    first, _second = add_both(house, two)
    two[0].play(Phase.CONNECT, hang_up())
    delivery = only_delivery(send(house.as_key, "elena@x.example"))
    Delivery.objects.update(pinned_relay=first)
    drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.relay) == (DeliveryState.DEFERRED, first)
    assert two[1].connections == 0


def test_what_is_uncertain_goes_once_more_over_the_same_relay_under_the_same_message_id(
    house: House, two: tuple[RemoteServer, RemoteServer]
) -> None:
    """The organisation wished it so; only the server that may have it can recognise it."""
    first, _second = add_both(house, two)
    SendingPolicy.objects.create(organisation=house.organisation, uncertain_retry_after=timedelta(hours=2))
    two[0].play(Phase.DOT, hang_up(after_taking=True), times=1)
    delivery = only_delivery(send(house.as_key, "elena@x.example"))
    drain()
    Relay.objects.filter(pk=first.pk).update(priority=9, updated_at=timezone.now())
    DeliveryAttempt.objects.update(finished_at=timezone.now() - timedelta(hours=1, minutes=59))
    assert sweep_deliveries() == 0
    DeliveryAttempt.objects.update(finished_at=timezone.now() - timedelta(hours=2))
    assert sweep_deliveries() == 1
    drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.relay) == (DeliveryState.SENT, first)
    copies = [email.message_from_bytes(one.content)["Message-ID"] for one in two[0].messages]
    assert copies == [f"<{delivery.message.rfc_message_id}>"] * 2
    assert two[1].connections == 0


def test_a_relay_that_fails_rests_and_is_not_asked_by_the_next_drain_either(
    house: House, two: tuple[RemoteServer, RemoteServer]
) -> None:
    add_both(house, two)
    two[0].play(Phase.CONNECT, hang_up())
    for n in range(8):
        send(house.as_key, f"c{n}@x.example")
        drain(RESTING)
    assert two[0].connections == 2
    assert len(two[1].messages) == 8


def test_when_all_relays_rest_mail_waits_without_a_setback_and_says_why(
    house: House, two: tuple[RemoteServer, RemoteServer]
) -> None:
    add(house, two[0], "only")
    two[0].play(Phase.CONNECT, hang_up())
    send(house.as_key, *(f"c{n}@x.example" for n in range(2)))
    drain(RESTING)
    delivery = only_delivery(send(house.as_key, "elena@x.example"))
    drain(RESTING)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.cause, delivery.setbacks) == ("deferred", Cause.RELAY_UNAVAILABLE, 0)
    assert delivery.due_at is not None
    assert delivery.due_at > timezone.now() + timedelta(minutes=30)
    assert delivery.reason.startswith("only is left alone until ")
    assert two[0].connections == 2


def test_mail_returns_to_the_first_relay_by_itself(
    house: House, two: tuple[RemoteServer, RemoteServer]
) -> None:
    add_both(house, two)
    short = replace(QUICK, relay=replace(QUICK.relay, rests_after=1, rest_seconds=0.02))
    two[0].play(Phase.CONNECT, hang_up(), times=1)
    for n in range(60):
        send(house.as_key, f"c{n}@x.example")
        drain(short)
        if two[0].messages:
            break
    assert two[0].messages
    assert len(two[1].messages) == n
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}


def test_a_changed_relay_is_used_without_a_restart(
    house: House, two: tuple[RemoteServer, RemoteServer]
) -> None:
    only = add(house, two[0], "only")
    send(house.as_key, "a@x.example")
    drain()
    Relay.objects.filter(pk=only.pk).update(port=two[1].port, updated_at=timezone.now())
    send(house.as_key, "b@x.example")
    drain()
    assert [len(remote.messages) for remote in two] == [1, 1]


def test_lanes_and_domains_have_relays_of_their_own(
    house: House, two: tuple[RemoteServer, RemoteServer]
) -> None:
    add(house, two[0], "for partners", priority=1, recipient_domains=["partner.example"])
    add(house, two[1], "for all", priority=2)
    send(house.as_key, "a@partner.example", "b@x.example")
    drain()
    assert two[0].taken_by_recipient == {"a@partner.example": 1}
    assert two[1].taken_by_recipient == {"b@x.example": 1}


def test_weights_share_the_load(house: House, two: tuple[RemoteServer, RemoteServer]) -> None:
    add(house, two[0], "heavy", weight=3)
    add(house, two[1], "light", weight=1)
    send(house.as_key, *(f"c{n}@x.example" for n in range(100)))
    drain()
    heavy, light = (len(remote.messages) for remote in two)
    assert heavy + light == 100
    assert heavy > light > 5


def test_opportunistic_tls_that_breaks_is_answered_in_plain_text(
    house: House, two: tuple[RemoteServer, RemoteServer]
) -> None:
    add(house, two[0], "broken tls", security="opportunistic")
    two[0].behave(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # without a certificate
    send(house.as_key, "a@x.example", "b@x.example")
    drain(replace(QUICK, relay=replace(QUICK.relay, connections=1, messages_per_connection=1)))
    assert two[0].taken_by_recipient == {"a@x.example": 1, "b@x.example": 1}
    assert set(DeliveryAttempt.objects.values_list("tls", flat=True)) == {""}
    assert two[0].connections == 3, "the second mail met it in plain text from the start"
