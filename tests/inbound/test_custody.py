"""What arrives together is committed together, and what goes wrong with one of them is that one's alone."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import DataError, OperationalError, connection
from django.utils import timezone

from apps.blobs.selectors import read
from apps.blobs.services import SPOOL_BOUND_BYTES
from apps.inbound import custody
from apps.inbound.custody import STORED_AT_ONCE
from apps.inbound.models import ReceivedMessage
from apps.inbound.receiving import Accepted, Envelope, Incoming, accept_all, accept_message, stage_incoming
from tests.inbound.conftest import Listen
from tests.inbound.wire import RawClient, stuffed
from tests.mail import raw_mail
from tests.people import House
from tests.polling import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = 8


def numbered(number: int) -> bytes:
    return raw_mail(message_id=f"{number}@customer.example")


def all_at_once(
    port: int, monkeypatch: pytest.MonkeyPatch, commit: Callable[[Sequence[Incoming]], list[Accepted]]
) -> list[str]:
    """The replies to mails of several clients, of which all but the first few are committed by one `commit`."""
    held = threading.Event()

    def hold_the_first(batch: Sequence[Incoming]) -> list[Accepted]:
        held.wait(20)
        return commit(batch)

    with monkeypatch.context() as patched:
        patched.setattr(custody, "accept_all", hold_the_first)
        clients = [RawClient(port) for _ in range(CLIENTS)]
        for number, client in enumerate(clients):
            client.addresses("support@house.test")
            client.asks(b"DATA")
            client.says(stuffed(numbered(number)))
        held.set()
        replies = [client.hears() for client in clients]
        for client in clients:
            client.close()
    return replies


def test_mails_that_arrive_together_share_commits(
    port: int, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def count(batch: Sequence[Incoming]) -> list[Accepted]:
        sizes.append(len(batch))
        return accept_all(batch)

    replies = all_at_once(port, monkeypatch, count)
    assert all(reply.startswith("250 2.0.0 Accepted as ") for reply in replies)
    assert sum(sizes) == CLIENTS > len(sizes)
    rows = {row.pk.hex: read(row.raw) for row in ReceivedMessage.objects.select_related("raw")}
    # Each is told its own row.
    assert [rows[reply.rpartition(" ")[2]] for reply in replies] == [numbered(n) for n in range(CLIENTS)]


def test_one_that_cannot_be_written_harms_no_other(
    port: int, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = numbered(5)

    def refuse_bad(batch: Sequence[Incoming]) -> list[Accepted]:
        if any(content.content == bad for one in batch for content in one.staged.values()):
            raise DataError("a row that PostgreSQL does not take")
        return accept_all(batch)

    replies = all_at_once(port, monkeypatch, refuse_bad)
    assert Counter(reply[:9] for reply in replies) == {"250 2.0.0": CLIENTS - 1, "451 4.3.0": 1}
    assert replies[5].startswith("451")
    assert ReceivedMessage.objects.count() == CLIENTS - 1


def test_a_store_that_hangs_holds_up_neither_recipients_nor_small_mail(
    port: int, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()

    def hang(envelope: Envelope, raw: bytes, **named: Any) -> Incoming:
        if len(raw) > SPOOL_BOUND_BYTES:
            goes_on.wait(20)
        return stage_incoming(envelope, raw, **named)

    monkeypatch.setattr(custody, "stage_incoming", hang)
    clients = [RawClient(port) for _ in range(STORED_AT_ONCE + 2)]
    for number, client in enumerate(clients):
        client.addresses("support@house.test")
        client.asks(b"DATA")
        client.says(stuffed(numbered(number) + b"x" * SPOOL_BOUND_BYTES + b"\r\n"))
    with RawClient(port) as small:
        small.socket.settimeout(10)
        assert small.sends(raw_mail(), "support@house.test").startswith("250")
    assert ReceivedMessage.objects.count() == 1
    goes_on.set()
    assert {client.hears()[:3] for client in clients} == {"250"}
    for client in clients:
        client.close()


def test_nobody_is_told_250_when_the_commits_answer_is_lost(
    port: int, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_the_answer(batch: Sequence[Incoming]) -> list[Accepted]:
        accept_all(batch)
        raise OperationalError("server closed the connection unexpectedly")

    replies = all_at_once(port, monkeypatch, lose_the_answer)
    assert {reply[:9] for reply in replies} == {"451 4.3.0"}
    assert {reply[:9] for reply in all_at_once(port, monkeypatch, accept_all)} == {"250 2.0.0"}
    assert ReceivedMessage.objects.count() == CLIENTS  # each is here, and once


def test_the_same_twice_in_one_batch_is_one_message(house: House) -> None:
    def incoming(*recipients: str) -> Incoming:
        envelope = Envelope("elena@customer.example", {house.organisation.pk: recipients}, "192.0.2.1", "c")
        return stage_incoming(envelope, raw_mail(), now=timezone.now())

    first, again, more = accept_all(
        [
            incoming("support@house.test"),
            incoming("support@house.test"),
            incoming("support@house.test", "alice@house.test"),
        ]
    )
    assert first.received_ids == again.received_ids != more.received_ids
    rows = ReceivedMessage.objects.order_by("pk").values_list("recipients", flat=True)
    assert list(rows) == [["support@house.test"], ["alice@house.test"]]


def test_overlapping_tries_at_once_reach_each_recipient_once(house: House) -> None:
    everybody = ["support@house.test", "alice@house.test", "bob@house.test", "admin@house.test"]
    start = threading.Barrier(4)

    def one(number: int) -> None:
        chosen = tuple(everybody[number:] + everybody[: max(0, number - 1)])
        envelope = Envelope("elena@customer.example", {house.organisation.pk: chosen}, "192.0.2.1", "c")
        start.wait()
        try:
            accept_message(envelope, raw_mail(), now=timezone.now())
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reached = Counter(who for row in ReceivedMessage.objects.all() for who in row.recipients)
    assert reached == dict.fromkeys(everybody, 1)


def test_neither_organisation_can_learn_of_the_other(listen: Listen, house: House, stranger: House) -> None:
    with RawClient(listen().port) as client:
        reply = client.sends(raw_mail(), "support@house.test", "support@stranger.test")
    ours, theirs = (
        ReceivedMessage.objects.select_related("raw").get(organisation=one.organisation)
        for one in (house, stranger)
    )
    assert ours.recipients == ["support@house.test"]
    assert theirs.recipients == ["support@stranger.test"]
    assert ours.raw_id != theirs.raw_id
    for row in (ours, theirs):
        assert read(row.raw) == raw_mail()  # not a byte added that could tell
        assert "house.test" not in row.trace.replace("mx.house.test", "")
        assert "stranger" not in row.trace
    assert reply.startswith("250 2.0.0 Accepted as ")


def test_a_received_line_is_kept_beside_the_bytes(listen: Listen, house: House) -> None:
    with RawClient(listen().port, greet=False) as client:
        client.asks(b"EHLO evil (x\xc3\xbc)")
        client.sends(raw_mail(), "support@house.test")
    row = ReceivedMessage.objects.get()
    assert row.trace.startswith(f"from evil??x?? ([127.0.0.1]) by mx.house.test with ESMTP id {row.pk.hex}; ")
    assert row.trace.endswith(" +0000")


def test_a_client_that_only_says_helo_is_taken_too(listen: Listen, house: House) -> None:
    with RawClient(listen().port, greet=False) as client:
        client.asks(b"HELO old")
        assert client.sends(raw_mail(), "support@house.test").startswith("250")
    wait_until(ReceivedMessage.objects.exists)
    assert ReceivedMessage.objects.get().protocol == "SMTP"
