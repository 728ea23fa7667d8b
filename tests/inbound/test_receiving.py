"""Custody: what is committed before the 250, and how a repetition is told from a second message."""

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from apps.blobs.errors import ObjectStoreUnavailable
from apps.blobs.models import Blob
from apps.blobs.selectors import read
from apps.blobs.services import put_new
from apps.inbound import custody, desk, receiving
from apps.inbound.models import ReceivedMessage
from apps.inbound.receiving import Accepted, Envelope, accept_all, accept_message
from apps.organisations.prepared import Question
from tests.inbound.wire import RawClient, send
from tests.mail import raw_mail
from tests.people import House
from tests.servers import Servers

pytestmark = pytest.mark.django_db(transaction=True)


def envelope(house: House, *recipients: str, sender: str = "elena@customer.example") -> Envelope:
    return Envelope(
        sender=sender,
        recipients={house.organisation.pk: recipients or ("support@house.test",)},
        peer="192.0.2.1",
        helo="client.example",
    )


def accept(house: House, raw: bytes | None = None, *recipients: str, **named: str) -> Accepted:
    return accept_message(envelope(house, *recipients, **named), raw or raw_mail(), now=timezone.now())


def test_a_sender_that_lost_our_250_and_tries_again_is_recognised(port: int, house: House) -> None:
    with RawClient(port) as client:
        client.addresses("support@house.test")
        client.asks(b"DATA")
        client.says(raw_mail() + b".\r\n")
        client.hears()  # committed; the client "loses" it and comes again over a new connection
    assert send(port).startswith("250")
    assert ReceivedMessage.objects.count() == 1


def test_the_reply_names_the_row_that_keeps_the_message(port: int, house: House) -> None:
    first, again = send(port), send(port)
    assert first == again == f"250 2.0.0 Accepted as {ReceivedMessage.objects.get().pk.hex}"


def test_the_same_again_in_one_conversation_is_a_second_message(port: int, house: House) -> None:
    """The client has read our 250 and goes on: it means it."""
    with RawClient(port) as client:
        for _ in range(3):
            assert client.sends(raw_mail(), "support@house.test").startswith("250")
    assert ReceivedMessage.objects.count() == 3


def recipients_by_row() -> list[list[str]]:
    return [row.recipients for row in ReceivedMessage.objects.order_by("received_at", "pk")]


def test_another_sender_or_content_is_another_message(house: House) -> None:
    accept(house)
    accept(house, raw_mail(message_id="second@customer.example"))
    accept(house, sender="other@customer.example")
    assert ReceivedMessage.objects.count() == 3


def test_one_mail_to_two_of_our_addresses_reaches_both(house: House) -> None:
    """As mailing lists and exploders send it: each recipient in a transaction, or a connection, of its own."""
    accept(house)
    accept(house, None, "alice@house.test")
    assert recipients_by_row() == [["support@house.test"], ["alice@house.test"]]


def test_a_resend_with_more_recipients_is_for_those_who_do_not_have_it(house: House) -> None:
    one = accept(house, None, "support@house.test", "alice@house.test")
    two = accept(house, None, "alice@house.test", "bob@house.test", "support@house.test")
    assert recipients_by_row() == [["support@house.test", "alice@house.test"], ["bob@house.test"]]
    assert one.received_ids != two.received_ids


def test_a_resend_with_fewer_recipients_is_nothing_new(house: House) -> None:
    one = accept(house, None, "support@house.test", "alice@house.test")
    assert accept(house, None, "alice@house.test").received_ids == one.received_ids
    assert ReceivedMessage.objects.count() == 1


def test_the_order_of_recipients_makes_no_other_message(house: House) -> None:
    one = accept(house, None, "support@house.test", "alice@house.test")
    assert accept(house, None, "alice@house.test", "support@house.test").received_ids == one.received_ids


def test_after_the_window_the_same_is_a_new_message(house: House) -> None:
    accept(house)
    ReceivedMessage.objects.update(
        received_at=timezone.now() - receiving.RESEND_WINDOW - timedelta(seconds=1)
    )
    accept(house)
    assert ReceivedMessage.objects.count() == 2


def test_one_organisations_mail_is_no_resend_of_anothers(house: House, stranger: House) -> None:
    accept(house)
    accept(stranger, None, "support@stranger.test")
    assert ReceivedMessage.objects.count() == 2


def test_two_tries_at_once_are_one_message(house: House) -> None:
    start = threading.Barrier(4)
    kept: list[uuid.UUID] = []

    def one() -> None:
        start.wait()
        try:
            kept.extend(accept(house).received_ids)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 4
    assert set(kept) == {ReceivedMessage.objects.get().pk}


def test_large_mail_rests_in_s3_before_the_250(port: int, house: House) -> None:
    raw = raw_mail() + b"z" * 400_000 + b"\r\n"
    assert send(port, raw).startswith("250")
    row = ReceivedMessage.objects.select_related("raw").get()
    assert row.raw.stored_at is not None
    assert read(row.raw) == raw


@pytest.mark.parametrize(
    "failure",
    [
        OperationalError("the connection is lost"),
        ObjectStoreUnavailable("no answer"),
        RuntimeError("a fault of ours"),
    ],
)
def test_a_failure_of_ours_is_451_and_the_next_try_is_taken(
    port: int, house: House, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*args: object, **named: object) -> object:
        raise failure

    with RawClient(port) as client:
        with monkeypatch.context() as broken:
            broken.setattr(custody, "accept_all", fail)
            assert client.sends(raw_mail(), "support@house.test").startswith("451 4.3.0")
        with monkeypatch.context() as broken:
            broken.setattr(desk, "recognise_recipients", fail)
            assert client.addresses("support@house.test")[0].startswith("451 4.3.0")
        assert client.asks(b"RSET").startswith("250")
        assert client.sends(raw_mail(), "support@house.test").startswith("250")
    assert ReceivedMessage.objects.count() == 1


def test_a_commit_whose_answer_was_lost_is_found_by_the_next_try(
    port: int, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit_and_lose_the_answer(*args: object, **named: object) -> object:
        accept_all(*args, **named)  # type: ignore[arg-type]
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as broken:
        broken.setattr(custody, "accept_all", commit_and_lose_the_answer)
        assert send(port).startswith("451 4.3.0")
    assert send(port).startswith("250")
    assert ReceivedMessage.objects.count() == 1


def test_nothing_is_kept_of_a_message_that_was_not_accepted(
    house: House, stranger: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two organisations, one commit: when the second fails the first has nothing either."""
    both = Envelope(
        sender="elena@customer.example",
        recipients={
            house.organisation.pk: ("support@house.test",),
            stranger.organisation.pk: ("support@stranger.test",),
        },
        peer="",
        helo="",
    )
    calls = []

    def fail_second(*args: Any) -> Question:
        calls.append(args)
        if len(calls) == 2:
            raise OperationalError
        return put_new(*args)

    monkeypatch.setattr(receiving, "put_new", fail_second)
    with pytest.raises(OperationalError):
        accept_message(both, raw_mail(), now=timezone.now())
    assert len(calls) == 2
    assert not ReceivedMessage.objects.exists()
    assert not Blob.objects.exists()


def test_a_redis_that_is_away_costs_the_sender_nothing(port: int, house: House, servers: Servers) -> None:
    servers.valkey.stop()
    assert send(port).startswith("250")
    assert ReceivedMessage.objects.count() == 1
