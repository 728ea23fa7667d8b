"""Answering tickets: to whom, in which conversation, with what effect."""

from typing import Any

import pytest
from django.utils import timezone

from apps.mailboxes.models import Message
from apps.outbound.errors import IdempotencyConflict, SubmissionInvalid
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.outbound.submission.submit import Submitted
from apps.tickets.models import Ticket, TicketState
from tests.arrivals import arrive
from tests.people import House


@pytest.fixture
def ticket(house: House) -> Ticket:
    arrive(house.support)
    return Ticket.objects.get()


def answer(house: House, ticket: Ticket, key: str | None = None, **fields: Any) -> Submitted:
    reply = Reply(**{"text": "We are on it.", **fields})
    return reply_to_ticket(house.as_alice, ticket, reply, idempotency_key=key, now=timezone.now())


def recipients(submitted: Submitted) -> list[str]:
    return [one.recipient for one in submitted.deliveries]


def test_an_answer_goes_to_the_customer_from_the_tickets_mailbox(house: House, ticket: Ticket) -> None:
    submitted = answer(house, ticket)
    assert recipients(submitted) == ["elena@customer.example"]
    assert submitted.message.sender_address == "support@house.test"
    assert submitted.message.thread == ticket.thread
    assert submitted.message.filed_sentence == "It is the answer to ticket #1."


def test_an_answer_goes_where_the_customer_asked_for_answers(house: House, ticket: Ticket) -> None:
    arrive(
        house.support,
        message_id="second@customer.example",
        headers={"Reply-To": "desk@customer.example", "In-Reply-To": "<first@customer.example>"},
    )
    assert recipients(answer(house, ticket)) == ["desk@customer.example"]
    assert recipients(answer(house, ticket, to=("boss@x.example",), cc=("c@x.example",))) == [
        "boss@x.example",
        "c@x.example",
    ]


def test_answers_chain_through_each_other(house: House, ticket: Ticket) -> None:
    first = answer(house, ticket).message
    second = answer(house, ticket).message
    assert first.in_reply_to == ["first@customer.example"]
    assert second.in_reply_to == [first.rfc_message_id]
    assert second.references == ["first@customer.example", first.rfc_message_id]
    assert second.subject == "Re: Invoice 20931 charged twice"


@pytest.mark.parametrize("message_id", ["", "<odd <nested@ids>", "blank in@it.example"])
def test_a_message_id_that_cannot_be_written_stops_no_answer(house: House, message_id: str) -> None:
    arrive(house.support, message_id=message_id)
    ticket = Ticket.objects.get()
    assert answer(house, ticket).message.thread == ticket.thread


def test_an_answer_changes_the_ticket_as_asked(house: House, ticket: Ticket) -> None:
    answer(house, ticket)
    ticket.refresh_from_db()
    assert (ticket.state, ticket.assignee) == (TicketState.PENDING, house.alice)
    answer(house, ticket, state="solved")
    ticket.refresh_from_db()
    assert ticket.state == TicketState.SOLVED


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("text", {"text": " \n"}),
        ("state", {"state": "burnt"}),
        ("to[0]", {"to": ("nobody",)}),
        ("from", {"sender": "bob@house.test"}),
    ],
)
def test_a_wrong_answer_is_refused_whole(
    house: House, ticket: Ticket, field: str, wrong: dict[str, Any]
) -> None:
    with pytest.raises(SubmissionInvalid) as refused:
        answer(house, ticket, **wrong)
    assert refused.value.field == field
    ticket.refresh_from_db()
    assert ticket.state == TicketState.OPEN
    assert Message.objects.count() == 1


def test_a_repeated_answer_is_sent_once_although_the_ticket_has_moved_on(
    house: House, ticket: Ticket
) -> None:
    first = answer(house, ticket, key="k", state="solved")
    arrive(
        house.support,
        message_id="more@customer.example",
        headers={"In-Reply-To": "<first@customer.example>"},
    )
    again = answer(house, ticket, key="k", state="solved")
    assert again.replayed
    assert again.message == first.message
    ticket.refresh_from_db()
    assert ticket.state == TicketState.OPEN
    with pytest.raises(IdempotencyConflict):
        answer(house, ticket, key="k", text="Something else.")


def test_a_customer_without_an_address_must_be_named(house: House) -> None:
    arrive(house.support, b"Subject: anonymous\r\n\r\nhello\r\n")
    with pytest.raises(SubmissionInvalid, match="to"):
        answer(house, Ticket.objects.get())
