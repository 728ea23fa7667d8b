"""Mail within one organisation: readable when the call returns, and no socket is opened for it."""

import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.utils import timezone

from apps.mailboxes.models import Direction, Folder, MailboxEntry, Side
from apps.mailboxes.selectors import message_for, text_of
from apps.mime.bounded import default_parser
from apps.outbound.models import Delivery, DeliveryState, Route
from apps.outbound.relays.environment import reconcile_relays
from apps.tickets.models import Ticket
from tests.mail import raw_mail
from tests.outbound.sending import drain, only_delivery, send
from tests.people import House
from tests.remote.server import RemoteServer


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> list[Any]:
    """Where Python connects to, other than Redis, which hears the live notices; every such connection fails.

    Connections to PostgreSQL are libpq's own and not seen here.
    """
    default_parser().parse(
        raw_mail()
    )  # its processes are reached over sockets of their own, made at the first use
    opened: list[Any] = []
    redis_port = urlsplit(settings.REDIS_URL).port

    def refusing(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
        def guarded(one: socket.socket, address: Any) -> Any:
            if isinstance(address, tuple) and address[1] == redis_port:
                return connect(one, address)
            opened.append(address)
            msg = f"a socket was opened to {address}"
            raise AssertionError(msg)

        return guarded

    monkeypatch.setattr(socket.socket, "connect", refusing(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", refusing(socket.socket.connect_ex))
    return opened


def test_the_guard_sees_a_connection_to_a_relay(house: House, sockets: list[Any]) -> None:
    """A test that cannot fail proves nothing: a recipient elsewhere does open a socket, in the worker."""
    reconcile_relays(["smtp://127.0.0.1:9?tls=none"])
    send(house.as_key, "elena@x.example")
    drain()
    assert set(sockets) == {("127.0.0.1", 9)}


def test_a_colleague_reads_it_when_the_call_returns_and_no_socket_was_opened(
    house: House, sockets: list[Any]
) -> None:
    submitted = send(house.as_alice, "bob@house.test", sender="alice@house.test")
    assert sockets == []
    assert submitted.message.state == DeliveryState.DELIVERED
    assert submitted.message.direction == Direction.LOCAL
    delivery = submitted.deliveries[0]
    assert (delivery.route, delivery.state, delivery.local_mailbox) == (Route.LOCAL, "delivered", house.bobs)
    seen = message_for(house.as_bob, submitted.message.pk)
    assert "mended" in text_of(seen)
    entries = {(one.mailbox, one.side, one.folder) for one in MailboxEntry.objects.all()}
    assert entries == {
        (house.alices, Side.SENDER, Folder.SENT),
        (house.bobs, Side.RECIPIENT, Folder.INBOX),
    }


def test_mail_to_our_support_address_opens_a_ticket_at_once(house: House, sockets: list[Any]) -> None:
    submitted = send(house.as_alice, "support+order7@house.test", sender="alice@house.test")
    ticket = Ticket.objects.get()
    assert ticket.thread == submitted.message.thread
    assert ticket.requester_address == "alice@house.test"


def test_an_address_of_our_domain_that_nobody_owns_fails_at_once(house: House, sockets: list[Any]) -> None:
    submitted = send(house.as_alice, "nobody@house.test", "bob@house.test", sender="alice@house.test")
    states = {one.recipient: (one.state, one.cause) for one in submitted.deliveries}
    assert states == {
        "nobody@house.test": ("failed", "no_such_address"),
        "bob@house.test": ("delivered", ""),
    }
    assert "5.1.1" in submitted.deliveries[0].reason
    assert submitted.message.state == DeliveryState.FAILED


def test_a_mixed_message_is_local_here_and_queued_for_the_world(house: House, relay: RemoteServer) -> None:
    submitted = send(house.as_key, "bob@house.test", "elena@x.example")
    assert {one.recipient: one.state for one in submitted.deliveries} == {
        "bob@house.test": "delivered",
        "elena@x.example": "queued",
    }
    drain()
    assert relay.taken_by_recipient == {"elena@x.example": 1}


def test_another_organisation_on_this_platform_is_the_outside_world(
    house: House, stranger: House, relay: RemoteServer
) -> None:
    submitted = send(house.as_key, "alice@stranger.test")
    assert submitted.deliveries[0].route == Route.RELAY
    assert not MailboxEntry.objects.filter(mailbox=stranger.alices).exists()
    drain()
    assert relay.taken_by_recipient == {"alice@stranger.test": 1}


def test_with_an_undo_window_a_worker_lays_it_into_the_inbox_later(house: House, relay: RemoteServer) -> None:
    submitted = send(house.as_alice, "bob@house.test", sender="alice@house.test", hold_seconds=10)
    assert submitted.message.state == DeliveryState.SCHEDULED
    assert not MailboxEntry.objects.filter(mailbox=house.bobs).exists()
    drain()
    assert only_delivery(submitted).state == DeliveryState.SCHEDULED
    Delivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    drain()
    assert only_delivery(submitted).state == DeliveryState.DELIVERED
    assert MailboxEntry.objects.get(mailbox=house.bobs).folder == Folder.INBOX
    assert MailboxEntry.objects.get(mailbox=house.alices).folder == Folder.SENT
    assert relay.connections == 0
