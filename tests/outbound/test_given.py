"""A message that a mail program wrote, on the road of every submission."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.principal import Principal
from apps.mailboxes.models import Direction, Domain, Folder, MailboxEntry, Message, MessageKind, Side
from apps.mailboxes.selectors import raw_of
from apps.outbound.errors import Fault, QuotaReached, SubmissionInvalid
from apps.outbound.models import Delivery, DeliveryState, Lane, RefusedSubmission, SendingPolicy
from apps.outbound.signing.rotation import activate, create_keys
from apps.outbound.submission.submit import GivenEnvelope, Submitted, submit_raw
from apps.tickets.models import Ticket, TicketState
from tests.arrivals import arrive
from tests.mail import raw_mail
from tests.outbound.sending import drain, send
from tests.people import House
from tests.remote.server import RemoteServer

ELENA = "elena@customer.example"


def own_mail(**fields: object) -> bytes:
    given = {
        "sender": "House Support <support@house.test>",
        "to": f"Elena <{ELENA}>",
        "message_id": "own@laptop",
    }
    return raw_mail(**(given | fields))  # type: ignore[arg-type]


def give(
    principal: Principal,
    raw: bytes | None = None,
    *to: str,
    sender: str = "support@house.test",
    nth: int = 0,
) -> Submitted:
    envelope = GivenEnvelope(sender, to or (ELENA,))
    return submit_raw(principal, envelope, own_mail() if raw is None else raw, now=timezone.now(), nth=nth)


def fault_of(
    principal: Principal, raw: bytes | None = None, *to: str, sender: str = "support@house.test"
) -> object:
    with pytest.raises(SubmissionInvalid) as refused:
        give(principal, raw, *to, sender=sender)
    return refused.value.field, refused.value.faults[0].fault


def test_it_is_kept_as_it_was_given_with_a_delivery_for_each_of_the_envelope(house: House) -> None:
    raw = own_mail(headers={"Cc": "tomas@x.example, unasked@x.example", "X-Order": "20931"})
    submitted = give(
        house.as_alice, raw, ELENA, "tomas@x.example", "boss@x.example", "ELENA@customer.example"
    )
    message = Message.objects.get()
    assert raw_of(message) == raw
    assert (message.rfc_message_id, message.direction, message.author) == (
        "own@laptop",
        Direction.OUT,
        house.alice,
    )
    assert [(one.recipient, one.field, one.state) for one in submitted.deliveries] == [
        (ELENA, "to", "queued"),
        ("tomas@x.example", "cc", "queued"),
        ("boss@x.example", "bcc", "queued"),
    ]
    assert message.bcc == [{"name": "", "address": "boss@x.example"}]
    entry = MailboxEntry.objects.get()
    assert (entry.mailbox, entry.side, entry.folder) == (house.support, Side.SENDER, Folder.OUTBOX)


@pytest.mark.django_db(transaction=True)
def test_it_leaves_signed_with_its_own_structure_and_without_bcc(
    house: House, relay: object, remote: RemoteServer
) -> None:
    for key in create_keys(Domain.objects.get(), timezone.now()):
        activate(key, timezone.now(), because="test")
    raw = own_mail(headers={"Bcc": "boss@x.example"}, text="Grüße.\n.\r\nbare\rend\n")
    give(house.as_alice, raw, ELENA, "boss@x.example")
    drain()
    assert sorted(one.recipients[0] for one in remote.messages) == ["boss@x.example", ELENA]
    for mail in remote.messages:
        assert b"bcc:" not in mail.content.lower()
        assert mail.content.startswith(b"DKIM-Signature: ")
        assert mail.content.endswith("Grüße.\r\n.\r\nbare\r\nend\r\n".encode())
    assert set(MailboxEntry.objects.values_list("folder", flat=True)) == {Folder.SENT}


def test_a_colleague_has_it_at_once_and_a_customer_when_it_is_sent(house: House) -> None:
    raw = own_mail(sender="alice@house.test", to=f"bob@house.test, {ELENA}")
    submitted = give(house.as_alice, raw, "bob@house.test", ELENA, sender="alice@house.test")
    assert {one.recipient: one.state for one in submitted.deliveries} == {
        "bob@house.test": DeliveryState.DELIVERED,
        ELENA: DeliveryState.QUEUED,
    }
    inbox = MailboxEntry.objects.get(folder=Folder.INBOX)
    assert (inbox.mailbox, inbox.message) == (house.bobs, submitted.message)
    assert Message.objects.count() == 1


def test_a_mail_without_date_and_message_id_gets_them(house: House) -> None:
    give(house.as_alice, b"From: support@house.test\nSubject: Hi\n\nHello.\n")
    message = Message.objects.get()
    assert message.rfc_message_id.endswith("@house.test")
    assert message.date is not None
    assert raw_of(message).endswith(b"Subject: Hi\r\n\r\nHello.\r\n")


def test_nobody_sends_as_somebody_else(house: House, stranger: House) -> None:
    yours = Fault.SENDER_NOT_YOURS
    assert fault_of(house.as_alice, own_mail(sender="bob@house.test")) == ("headers.From", yours)
    assert fault_of(house.as_alice, own_mail(sender="support@stranger.test")) == ("headers.From", yours)
    assert fault_of(house.as_alice, own_mail(sender="ceo@bank.example")) == ("headers.From", yours)
    assert fault_of(house.as_alice, own_mail(headers={"Sender": "bob@house.test"})) == (
        "headers.Sender",
        yours,
    )
    assert fault_of(house.as_alice, sender="bob@house.test") == ("mail_from", yours)
    assert fault_of(house.as_alice, sender="nonsense") == ("mail_from", Fault.ADDRESS_INVALID)
    assert fault_of(house.as_alice, own_mail(sender="a..b@x.example")) == (
        "headers.From",
        Fault.ADDRESS_INVALID,
    )
    assert not Message.objects.exists()
    assert not RefusedSubmission.objects.exists(), "the mail program keeps what it was refused"


def test_an_own_tag_the_null_path_and_any_own_address_are_ones_own(house: House) -> None:
    raw = own_mail(sender="support+news@house.test", headers={"Sender": "alice@house.test"})
    give(house.as_alice, raw, sender="alice@house.test")
    give(house.as_alice, sender="")
    assert Message.objects.count() == 2


def test_what_is_wrong_with_the_message_or_the_envelope_is_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fault_of(house.as_alice, b"Hello") == ("message", Fault.HEADER_INVALID)
    assert fault_of(house.as_alice, own_mail(headers={"From": "x@y.z"})) == (
        "headers.From",
        Fault.HEADER_INVALID,
    )
    assert fault_of(house.as_alice, None, "no address") == ("rcpt[0]", Fault.ADDRESS_INVALID)
    assert fault_of(house.as_alice, None, *(f"{n}@x.example" for n in range(1001))) == (
        "rcpt",
        Fault.TOO_MANY,
    )
    monkeypatch.setattr("apps.outbound.submission.given.MAX_MESSAGE_BYTES", 2000)
    assert fault_of(house.as_alice, own_mail(text="too large\r\n" * 100)) == ("message", Fault.TOO_LARGE)


def test_a_quota_counts_it_like_any_other(house: House) -> None:
    SendingPolicy.objects.create(organisation=house.organisation, recipients_per_day=2)
    give(house.as_alice, None, ELENA, "boss@x.example")
    with pytest.raises(QuotaReached):
        give(house.as_alice, own_mail(message_id="second@laptop"))


def test_a_mail_to_many_takes_the_slow_lane(house: House) -> None:
    give(house.as_alice, own_mail(headers={"Precedence": "bulk"}))
    assert Delivery.objects.get().lane == Lane.BULK


def test_an_answer_from_a_mail_program_is_the_tickets_answer(house: House) -> None:
    question = arrive(house.support)
    give(house.as_alice, own_mail(headers={"In-Reply-To": f"<{question.rfc_message_id}>"}))
    assert Message.objects.get(direction=Direction.OUT).thread_id == question.thread_id
    ticket = Ticket.objects.get()
    assert (ticket.state, ticket.assignee) == (TicketState.PENDING, house.alice)


def test_an_invitation_from_a_mail_program_is_an_answer_too(house: House) -> None:
    question = arrive(house.support)
    raw = own_mail(
        headers={"In-Reply-To": f"<{question.rfc_message_id}>"},
        text="BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n",
    ).replace(b"text/plain; charset=utf-8", b"text/calendar; method=REQUEST")
    assert give(house.as_alice, raw).message.kind == MessageKind.CALENDAR
    assert Ticket.objects.get().state == TicketState.PENDING


def test_what_a_stranger_sent_under_the_id_of_our_own_mail_does_not_catch_its_answer(house: House) -> None:
    ours = send(house.as_alice, ELENA).message
    forged = arrive(house.support, message_id=ours.rfc_message_id)
    answers = {"In-Reply-To": f"<{ours.rfc_message_id}>"}
    give(house.as_alice, own_mail(headers=answers))
    over_rest = send(house.as_alice, ELENA, in_reply_to=ours.rfc_message_id).message
    given = Message.objects.get(rfc_message_id="own@laptop")
    assert forged.thread_id != ours.thread_id == given.thread_id == over_rest.thread_id


def test_what_says_that_a_machine_wrote_it_has_its_turn_among_programs(house: House) -> None:
    first = send(house.as_key, ELENA).message
    answers = {"In-Reply-To": f"<{first.rfc_message_id}>"}
    by_hand = give(house.as_alice, own_mail(headers=answers)).message
    automatic = own_mail(headers=answers | {"Auto-Submitted": "auto-replied"}, message_id="2@laptop")
    assert (by_hand.machine_turns, give(house.as_alice, automatic).message.machine_turns) == (0, 1)


def test_an_answer_from_ones_own_mailbox_or_by_a_machine_leaves_the_ticket_alone(house: House) -> None:
    question = arrive(house.support)
    answers = {"In-Reply-To": f"<{question.rfc_message_id}>"}
    give(house.as_alice, own_mail(sender="alice@house.test", headers=answers))
    give(house.as_alice, own_mail(headers=answers | {"Auto-Submitted": "auto-replied"}))
    give(house.as_key, own_mail(headers=answers | {"Auto-Submitted": "auto-generated"}))
    assert Message.objects.filter(thread=question.thread_id).count() == 4
    assert Ticket.objects.get().state == TicketState.OPEN


def test_the_same_again_within_the_hour_is_sent_once(house: House) -> None:
    first = give(house.as_alice, None, ELENA, "boss@x.example")
    again = give(house.as_alice, None, "boss@x.example", ELENA)
    assert (again.message, again.replayed, len(again.deliveries)) == (first.message, True, 2)
    assert give(house.as_alice, None, ELENA).message != first.message, "another envelope is another mail"
    assert give(house.as_bob, None, ELENA, "boss@x.example").message != first.message, (
        "so is another sender's"
    )
    later = submit_raw(
        house.as_alice,
        GivenEnvelope("support@house.test", (ELENA, "boss@x.example")),
        own_mail(),
        now=timezone.now() + timedelta(minutes=61),
    )
    assert not later.replayed


@pytest.mark.parametrize("field", ["message-id: <own@laptop>", "Date: Mon, 02 Mar 2026 10:00:00 +0100"])
def test_only_what_has_a_name_or_a_time_of_its_own_is_known_again(house: House, field: str) -> None:
    nameless = b"From: support@house.test\r\nSubject: Disk full\r\n\r\nDate: today\r\n"
    named = field.encode() + b"\r\n" + nameless
    assert not give(house.as_alice, nameless).replayed
    assert not give(house.as_alice, nameless).replayed
    assert not give(house.as_alice, named).replayed
    assert give(house.as_alice, named).replayed
    assert Message.objects.count() == 3


def test_who_has_read_the_answer_and_sends_the_same_again_means_it(house: House) -> None:
    first, second = give(house.as_alice), give(house.as_alice, nth=1)
    assert first.message != second.message
    assert give(house.as_alice, nth=1).message == second.message


@pytest.mark.django_db(transaction=True)
def test_two_at_once_that_are_the_same_are_one_message(house: House) -> None:
    start = threading.Barrier(4)
    made: list[object] = []

    def one() -> None:
        start.wait()
        try:
            made.append(give(house.as_alice).message.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert set(made) == {Message.objects.get().pk}
