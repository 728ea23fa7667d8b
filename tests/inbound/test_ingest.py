"""Filing what was accepted: claims, leases, attempts, and mail that defies it."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
from django.db import DataError, OperationalError, connection
from django.utils import timezone

from apps.blobs.errors import ObjectStoreUnavailable
from apps.blobs.selectors import read
from apps.inbound import ingest, sweeper
from apps.inbound.actors import ingest as ingest_actor
from apps.inbound.claims import Claim, claim_due
from apps.inbound.ingest import ingest_claim, ingest_due
from apps.inbound.models import ReceivedMessage, ReceivedState
from apps.inbound.outages import is_away, is_outage
from apps.inbound.receiving import Envelope, accept_message
from apps.inbound.wakeups import INGEST, wake_ups
from apps.mailboxes.models import Mailbox, MailboxEntry, Message, OwnedAddress
from apps.mailboxes.projection import PreparedMessage, prepare
from apps.organisations.joint_work import JointWork
from apps.organisations.prepared import Question
from apps.tickets.intake import FilingTogether
from apps.tickets.models import Ticket
from tests.mail import raw_mail
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)


def receive(house: House, raw: bytes | None = None, *recipients: str) -> ReceivedMessage:
    envelope = Envelope(
        sender="elena@customer.example",
        recipients={house.organisation.pk: recipients or (f"support@{house.domain}",)},
        peer="192.0.2.1",
        helo="client.example",
    )
    accepted = accept_message(envelope, raw or raw_mail(), now=timezone.now())
    return ReceivedMessage.objects.get(pk=accepted.received_ids[0])


def ingest_all(limit: int = 100) -> int:
    return ingest_due(limit=limit, seconds=30)


def make_due(row: ReceivedMessage) -> None:
    ReceivedMessage.objects.filter(pk=row.pk).update(due_at=timezone.now() - timedelta(seconds=1))


def test_accepted_mail_is_filed_as_a_ticket_in_its_mailboxes(house: House) -> None:
    row = receive(house, None, "support@house.test", "alice@house.test", "support+x@house.test")
    assert ingest_all() == 1
    row.refresh_from_db()
    assert (row.state, row.attempts, row.lease_token) == (ReceivedState.FILED, 1, None)
    message = Message.objects.get()
    assert row.message_id == message.pk
    assert (message.subject, message.raw_id, message.received_at) == (
        "Invoice 20931 charged twice",
        row.raw_id,
        row.received_at,
    )
    entries = MailboxEntry.objects.filter(message=message)
    assert {entry.mailbox_id for entry in entries} == {house.support.pk, house.alices.pk}
    assert Ticket.objects.get().mailbox_id == house.support.pk


def test_each_organisation_gets_its_own_message_and_ticket(house: House, stranger: House) -> None:
    receive(house)
    receive(stranger)
    assert ingest_all() == 2
    assert {ticket.organisation_id for ticket in Ticket.objects.all()} == {
        house.organisation.pk,
        stranger.organisation.pk,
    }


def test_there_is_nothing_to_do_twice(house: House) -> None:
    receive(house)
    assert ingest_all() == 1
    assert ingest_all() == 0
    assert Message.objects.count() == 1


def test_workers_at_once_file_each_message_once(house: House) -> None:
    for n in range(12):
        receive(house, raw_mail(message_id=f"{n}@customer.example"))
    threads = [threading.Thread(target=ingest_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Message.objects.count() == Ticket.objects.count() == 12
    assert set(ReceivedMessage.objects.values_list("state", "attempts")) == {("filed", 1)}


def test_two_workers_that_both_believe_a_lease_is_theirs_file_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both come to the fence, one with a token that is no longer the row's, and wait there for each other.

    A mail without text, or the text's blob would make one wait for the other earlier.
    """
    row = receive(house, raw_mail(text=""))
    first = claim_due()[0]
    make_due(row)
    second = claim_due()[0]
    both_come = threading.Barrier(2, timeout=20)

    class Waiting(FilingTogether):
        def write(self, *also: Question) -> list[list[tuple[Any, ...]]]:
            both_come.wait()
            return super().write(*also)

    def file_alone(ready: ingest.Ready, then: Callable[[Exception | None], None]) -> None:
        JointWork(ingest.file_all, most=1, is_away=is_away).entrust(ready, then)

    def work(claim: Claim) -> None:
        try:
            ingest_claim(claim)
        finally:
            connection.close()

    monkeypatch.setattr(ingest, "FilingTogether", Waiting)
    # Two processes do not file together as two threads do.
    monkeypatch.setattr(ingest.filing, "entrust", file_alone)
    # The organisation's ticket counter would make one wait for the other earlier, too.
    monkeypatch.setattr("apps.tickets.laying.Laying._rows_of", lambda *args, **named: [])
    threads = [threading.Thread(target=work, args=[claim]) for claim in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row.refresh_from_db()
    assert row.state == ReceivedState.FILED
    assert row.message_id == Message.objects.get().pk


@pytest.mark.parametrize("failure", [ObjectStoreUnavailable("no answer"), OperationalError("no connection")])
def test_a_server_that_is_away_costs_no_attempt(
    house: House, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def away(*args: object, **named: object) -> PreparedMessage:
        raise failure

    row = receive(house)
    with monkeypatch.context() as broken:
        broken.setattr(ingest, "prepare", away)
        for _ in range(5):
            assert ingest_all() == 1
            row.refresh_from_db()
            assert (row.state, row.attempts, row.last_error) == ("accepted", 0, type(failure).__name__)
            assert row.due_at > timezone.now()
            make_due(row)
    ingest_all()
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_error) == ("filed", 1, "")
    assert Message.objects.get().defects == []


def fail_for(poison: bytes) -> Callable[..., PreparedMessage]:
    """A `prepare` that cannot take one mail, unless it has been parsed as text."""

    def prepare_or_fail(raw: bytes, **named: Any) -> PreparedMessage:
        if poison in raw and "parsed" not in named:
            raise DataError("a string PostgreSQL refuses")
        return prepare(raw, **named)

    return prepare_or_fail


def test_poison_mail_becomes_a_ticket_with_the_raw_attached(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "prepare", fail_for(b"POISON"))
    raw = raw_mail(subject="Help", text="POISON\r\n")
    row = receive(house, raw)
    for attempt in (1, 2, 3):
        assert ingest_all() == 1
        row.refresh_from_db()
        assert (row.state, row.attempts, row.last_error) == ("accepted", attempt, "DataError")
        assert row.due_at > timezone.now() - timedelta(seconds=0.5)
        assert not Message.objects.exists()
        make_due(row)
    assert ingest_all() == 1
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("filed", 4)
    message = Ticket.objects.get().thread.messages.get()
    part = message.parts.get()
    assert (part.filename, part.content_type, part.inline) == ("message.eml", "message/rfc822", False)
    assert read(part.blob) == raw == read(message.raw)
    assert message.defects


def test_poison_mail_does_not_delay_the_next(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "prepare", fail_for(b"POISON"))
    receive(house, raw_mail(text="POISON\r\n"))
    receive(house, raw_mail(message_id="next@customer.example"))
    assert ingest_all(limit=2) == 2  # or on a busy machine the first is due again before the second is filed
    assert Message.objects.get().rfc_message_id == "next@customer.example"


def test_mail_that_fails_even_as_text_waits_ever_longer_and_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **named: object) -> Message:
        raise DataError

    monkeypatch.setattr(ingest, "FilingTogether", fail)
    row = receive(house)
    waits = []
    for _ in range(7):
        make_due(row)
        assert ingest_all() == 1
        row.refresh_from_db()
        waits.append(round((row.due_at - timezone.now()).total_seconds()))
    assert waits == sorted(waits)
    assert waits[0] <= 1
    assert 590 < waits[-1] <= 600
    assert row.state == ReceivedState.ACCEPTED


def test_half_filed_mail_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message and the row's mark are one commit."""

    def fail(*args: Any, **named: Any) -> None:
        assert Message.objects.exists()
        raise DataError

    monkeypatch.setattr(ingest, "require_ours", fail)
    receive(house)
    ingest_all()
    assert not Message.objects.exists()
    assert not Ticket.objects.exists()


def test_mail_to_an_address_that_went_meanwhile_goes_to_the_shared_mailbox(house: House) -> None:
    receive(house, None, "alice@house.test")
    OwnedAddress.objects.filter(address="alice@house.test").delete()
    ingest_all()
    assert MailboxEntry.objects.get().mailbox_id == house.support.pk


def test_an_address_that_moved_to_another_organisation_takes_no_mail_along(
    house: House, stranger: House
) -> None:
    receive(house, None, "alice@house.test")
    OwnedAddress.objects.filter(address="alice@house.test").update(
        organisation=stranger.organisation, mailbox=stranger.alices
    )
    ingest_all()
    assert MailboxEntry.objects.get().mailbox_id == house.support.pk


def test_mail_with_nowhere_to_go_waits_until_there_is_a_place(house: House) -> None:
    row = receive(house)
    Mailbox.objects.filter(organisation=house.organisation).delete()
    ingest_all()
    row.refresh_from_db()
    assert (row.state, row.last_error) == ("accepted", "NowhereToFile")
    assert not Message.objects.exists()


def test_an_unfiled_message_is_refused_by_the_database_when_its_lease_has_no_token(house: House) -> None:
    row = receive(house)
    with pytest.raises(Exception, match="received_lease_iff_ingesting"):
        ReceivedMessage.objects.filter(pk=row.pk).update(state=ReceivedState.INGESTING)


def test_a_large_mail_keeps_its_attachment(house: House) -> None:
    head = raw_mail(text="").removesuffix(b"\r\n").replace(b"text/plain; charset=utf-8", b"application/pdf")
    receive(house, head + b"Content-Transfer-Encoding: binary\r\n\r\n" + b"%PDF" * 100_000 + b"\r\n")
    ingest_all()
    part = Message.objects.get().parts.get()
    assert part.blob.size_bytes >= 400_000
    assert part.blob.stored_at is not None


def test_the_actor_files_all_that_is_due(house: House) -> None:
    receive(house)
    receive(house, raw_mail(message_id="second@customer.example"))
    ingest_actor.fn()
    assert Message.objects.count() == 2


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The actors that the sweeper has called."""
    names: list[str] = []
    monkeypatch.setattr(
        dramatiq.get_broker(), "enqueue", lambda message, **_options: names.append(message.actor_name)
    )
    monkeypatch.setattr(wake_ups, "request", lambda: None)  # acceptance wakes a worker too, in its own thread
    INGEST.answer()
    return names


def test_the_sweeper_wakes_a_worker_for_mail_whose_wake_up_was_lost(house: House, woken: list[str]) -> None:
    assert sweeper.sweep_received() == 0
    assert woken == []
    receive(house)
    sweeper.sweep_received()
    assert woken == ["ingest"]


def test_the_sweeper_does_not_call_again_before_it_was_answered(house: House, woken: list[str]) -> None:
    receive(house)
    sweeper.sweep_received()
    sweeper.sweep_received()
    assert len(woken) == 1
    ingest_actor.fn()
    receive(house, raw_mail(message_id="second@customer.example"))
    sweeper.sweep_received()
    assert len(woken) == 2


def test_mail_that_is_leased_or_not_due_wakes_nobody(house: House, woken: list[str]) -> None:
    receive(house)
    claim_due()
    sweeper.sweep_received()
    assert woken == []


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (ObjectStoreUnavailable(), True),
        (OperationalError("connection refused"), True),
        (DataError("too long"), False),
        (ValueError(), False),
    ],
)
def test_outages_are_told_from_faults_of_the_mail(error: Exception, outage: bool) -> None:  # noqa: FBT001
    assert is_outage(error) is outage


@pytest.mark.parametrize(("state", "outage"), [("57P01", True), ("40P01", True), ("54000", False)])
def test_the_sqlstate_decides_where_there_is_one(state: str, outage: bool) -> None:  # noqa: FBT001
    """54000 is what a search vector over a megabyte raises, as an OperationalError like any lost connection."""
    statement = f"DO $$ BEGIN RAISE EXCEPTION 'as if' USING ERRCODE = '{state}'; END $$"
    with pytest.raises(Exception, match="as if") as caught, connection.cursor() as cursor:
        cursor.execute(statement)
    assert is_outage(caught.value) is outage


def test_hostile_mail_is_filed_within_its_time(house: House) -> None:
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1200)
    )
    receive(house, b"Subject: nested\r\n" + nested)
    receive(house, b"\x00\xff\xfe" * 1000)
    receive(house, b"")
    started = time.monotonic()
    assert ingest_all() == 3
    assert time.monotonic() - started < 60  # a few seconds, on a machine that does nothing else
    assert Ticket.objects.count() == 3
