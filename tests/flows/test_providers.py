"""Relays that behave like real providers on a bad day: everything arrives, once, and nothing is taken for a failure."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from apps.outbound.delivery import DEFAULT_LEASE_POLICY
from apps.outbound.draining.drain import Drain
from apps.outbound.models import Delivery, Lane
from apps.outbound.relays.environment import reconcile_relays
from apps.outbound.sweeper import sweep_deliveries
from apps.outbound.wire.envelope import Timeouts
from tests.outbound.sending import QUICK, drain, make_due, send
from tests.outbound.simulated import SimulatedLoop, running
from tests.people import House
from tests.polling import wait_until
from tests.remote.providers import ClosesAfter
from tests.remote.script import Garbage, Phase, defer, hang_up, refuse
from tests.remote.server import RemoteServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def started() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def as_relay(started: ExitStack, server: RemoteServer) -> RemoteServer:
    started.enter_context(server)
    reconcile_relays([f"{server.url}?tls=none"])
    return server


def states() -> set[tuple[str, int]]:
    return set(Delivery.objects.values_list("state", "setbacks"))


def test_a_server_that_closes_at_every_fifth_mail_gets_all_of_them_once(
    house: House, started: ExitStack
) -> None:
    relay = as_relay(started, ClosesAfter(every=5))
    recipients = [f"customer{n}@x.example" for n in range(60)]
    send(house.as_key, *recipients)
    for _round in range(10):
        drain()
        if Delivery.objects.filter(state="deferred").exists():
            make_due()
    assert relay.taken_by_recipient == dict.fromkeys(recipients, 1)
    assert {state for state, _setbacks in states()} == {"sent"}


def test_a_slow_line_is_filled_with_conversations(house: House, started: ExitStack) -> None:
    """At 200 ms an answer one conversation after the other would take forty seconds and more."""
    relay = as_relay(started, RemoteServer(latency_seconds=0.2))
    recipients = [f"customer{n}@domain{n % 10}.example" for n in range(100)]
    send(house.as_key, *recipients)
    drain()
    assert relay.taken_by_recipient == dict.fromkeys(recipients, 1)
    assert relay.connections > 20
    assert states() == {("sent", 0)}


PATIENT = replace(QUICK, relay=replace(QUICK.relay, timeouts=Timeouts()))


def let_a_quarter_minute_pass(loop: SimulatedLoop) -> None:
    """On the worker's clock and on PostgreSQL's; until the lease is renewed as it must be, and whoever renewed it
    sleeps again: what is let pass before would pass for nobody.
    """
    renewals_begun = loop.sleeps_of(15)
    Delivery.objects.update(lease_expires_at=F("lease_expires_at") - timedelta(seconds=15))
    loop.let_pass(15)
    fresh = DEFAULT_LEASE_POLICY.lease - timedelta(seconds=10)
    wait_until(
        lambda: Delivery.objects.filter(lease_expires_at__gt=Now() + fresh).exists(),
        what="the lease is renewed",
        seconds=20,
    )
    wait_until(lambda: loop.sleeps_of(15) > renewals_begun, what="the next renewal is waited for", seconds=20)


def test_a_250_that_comes_after_ninety_seconds_is_waited_for_and_heard(
    house: House, started: ExitStack
) -> None:
    relay = as_relay(started, RemoteServer())
    stall = relay.stall(Phase.DOT, taking=True)
    send(house.as_key, "elena@x.example")
    with running(Drain(Lane.INTERACTIVE, PATIENT).run()) as loop:
        stall.wait_reached()
        for _quarter in range(6):
            let_a_quarter_minute_pass(loop)
            assert sweep_deliveries() == 0
        assert states() == {("sending", 0)}
        stall.release()
    assert states() == {("sent", 0)}
    assert relay.taken_by_recipient == {"elena@x.example": 1}


def test_a_250_that_never_comes_is_given_up_after_ten_minutes_and_nobody_can_tell(
    house: House, started: ExitStack
) -> None:
    """RFC 5321 §4.5.3.2.6: at least ten minutes, or what was stored already is sent again."""
    relay = as_relay(started, RemoteServer())
    stall = relay.stall(Phase.DOT, taking=True)
    send(house.as_key, "elena@x.example")
    with running(Drain(Lane.INTERACTIVE, PATIENT).run()) as loop:
        stall.wait_reached()
        with loop.standing_still():
            for _quarter in range(39):
                let_a_quarter_minute_pass(loop)
            assert states() == {("sending", 0)}
        loop.let_pass(20)
    assert states() == {("uncertain", 0)}
    assert Delivery.objects.get().cause == "reply_lost"
    assert len(relay.messages) == 1


def break_tls(server: RemoteServer, trouble: str) -> None:
    server.behave(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # without a certificate: no handshake succeeds
    match trouble:
        case "refused":
            server.play(Phase.STARTTLS, defer(454, "4.7.0 TLS not available due to temporary reason"))
        case "hung up":
            server.play(Phase.STARTTLS, hang_up())
        case "nonsense":
            server.play(Phase.STARTTLS, Garbage(b"220 go ahead\r\nnothing like a handshake\r\n" * 100))
        case "silent":
            server.stall(Phase.STARTTLS, times=None)


TLS_TROUBLES = ["handshake", "refused", "hung up", "nonsense", "silent"]


@pytest.mark.parametrize("trouble", TLS_TROUBLES)
def test_where_tls_is_demanded_and_broken_mail_waits_or_goes_another_way_and_never_in_plain_text(
    house: House, started: ExitStack, trouble: str
) -> None:
    broken, well = started.enter_context(RemoteServer()), started.enter_context(RemoteServer())
    break_tls(broken, trouble)
    reconcile_relays([f"{broken.url}?tls=required"])
    send(house.as_key, "elena@x.example")
    drain()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.cause) == ("deferred", "relay_unavailable")
    assert "TLS" in delivery.reason or "starttls" in delivery.reason
    reconcile_relays([f"{broken.url}?tls=required", f"{well.url}?tls=none"])
    make_due()
    drain()
    assert {state for state, _setbacks in states()} == {"sent"}
    assert well.taken_by_recipient == {"elena@x.example": 1}
    assert (broken.messages, broken.commands_of("MAIL"), broken.commands_of("AUTH")) == ([], [], [])


@pytest.mark.parametrize("trouble", TLS_TROUBLES)
def test_where_tls_is_only_wished_for_and_broken_mail_goes_as_to_a_server_without(
    house: House, started: ExitStack, trouble: str
) -> None:
    """RFC 7435 §3."""
    server = started.enter_context(RemoteServer())
    break_tls(server, trouble)
    reconcile_relays([server.url])
    send(house.as_key, "elena@x.example")
    drain()
    assert states() == {("sent", 0)}
    assert server.taken_by_recipient == {"elena@x.example": 1}


def test_of_five_recipients_one_is_refused_one_is_full_and_three_have_it(
    house: House, started: ExitStack
) -> None:
    relay = as_relay(started, RemoteServer())
    relay.play(Phase.RCPT, refuse(550, "5.1.1 no such user"), recipient="gone@x.example")
    relay.play(Phase.RCPT, defer(452, "4.2.2 The email account is over quota"), recipient="full@x.example")
    submitted = send(
        house.as_key, "anna@x.example", "gone@x.example", "full@x.example", "ben@x.example", "eva@x.example"
    )
    drain()
    told = dict(Delivery.objects.values_list("recipient", "cause"))
    assert told == {
        "anna@x.example": "",
        "ben@x.example": "",
        "eva@x.example": "",
        "gone@x.example": "recipient_refused",
        "full@x.example": "mailbox_full",
    }
    assert set(relay.taken_by_recipient.values()) == {1}
    submitted.message.refresh_from_db()
    # Its least finished recipient is the one that is still waited for.
    assert submitted.message.state == "deferred"
