"""An answer leaves: from the call that takes it to the bytes on the other side's server."""

import uuid
from dataclasses import replace
from datetime import timedelta

from django.utils import timezone

from apps.events.models import Event
from apps.mailboxes.models import Direction, Folder, MailboxEntry, Side
from apps.mailboxes.projection import prepare
from apps.mailboxes.selectors import raw_of
from apps.mime.parse import parse
from apps.outbound.bounces.return_path import return_paths
from apps.outbound.models import Delivery, DeliveryState
from apps.outbound.relay import RelayPolicy
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.tickets.intake import file_message
from apps.tickets.models import Ticket, TicketState
from tests.mail import raw_mail
from tests.outbound.sending import QUICK, drain, only_delivery, send
from tests.people import House
from tests.remote.server import RemoteServer


def folder_of_senders_copy(message_id: uuid.UUID) -> str:
    return MailboxEntry.objects.get(message=message_id, side=Side.SENDER).folder


def test_an_answer_to_a_ticket_reaches_the_customer(house: House, relay: RemoteServer) -> None:
    question = file_message(
        prepare(raw_mail()),
        organisation_id=house.organisation.pk,
        mailboxes=[house.support],
        received_at=timezone.now() - timedelta(minutes=5),
    )
    ticket = Ticket.objects.get()

    submitted = reply_to_ticket(
        house.as_alice,
        ticket,
        Reply(text="We are sorry. It is mended."),
        idempotency_key=None,
        now=timezone.now(),
    )
    assert submitted.message.state == DeliveryState.QUEUED
    assert folder_of_senders_copy(submitted.message.pk) == Folder.OUTBOX
    drain()

    taken = relay.messages[0]
    assert taken.recipients == ("elena@customer.example",)
    assert return_paths().delivery_of(taken.sender) == only_delivery(submitted).pk
    assert taken.content == raw_of(submitted.message)
    answer = parse(taken.content)
    assert answer.in_reply_to == ("first@customer.example",)
    assert answer.subject == "Re: Invoice 20931 charged twice"
    assert answer.sender.name == "House Support"

    message = submitted.message
    message.refresh_from_db()
    assert message.state == DeliveryState.SENT
    assert message.thread == question.thread
    assert message.author == house.alice
    assert folder_of_senders_copy(message.pk) == Folder.SENT
    ticket.refresh_from_db()
    assert (ticket.state, ticket.assignee) == (TicketState.PENDING, house.alice)


def test_every_recipient_gets_a_transaction_and_a_truth_of_its_own(house: House, relay: RemoteServer) -> None:
    recipients = [f"customer{n}@x.example" for n in range(30)]
    submitted = send(house.as_key, *recipients[:10], cc=tuple(recipients[10:20]), bcc=tuple(recipients[20:]))
    drain()
    assert relay.taken_by_recipient == dict.fromkeys(recipients, 1)
    assert all(len(message.recipients) == 1 for message in relay.messages)
    assert {message.content for message in relay.messages} == {raw_of(submitted.message)}
    assert b"customer25" not in relay.messages[0].content
    assert set(Delivery.objects.values_list("state", flat=True)) == {DeliveryState.SENT}


def test_connections_are_used_again(house: House, relay: RemoteServer) -> None:
    send(house.as_key, *(f"customer{n}@x.example" for n in range(20)))
    drain(replace(QUICK, relay=RelayPolicy(connections=2)))
    assert len(relay.messages) == 20
    assert relay.connections == 2
    assert len(relay.commands_of("QUIT")) == 2


def test_what_happened_is_in_the_event_log_and_the_attempt(house: House, relay: RemoteServer) -> None:
    submitted = send(house.as_alice, "elena@x.example", sender="alice@house.test")
    drain()
    kinds = list(
        Event.objects.filter(message_id=submitted.message.pk).order_by("id").values_list("kind", flat=True)
    )
    assert kinds == ["message.submitted", "delivery.queued", "delivery.sent"]
    attempt = only_delivery(submitted).attempts.get()
    assert (attempt.number, attempt.outcome, attempt.code) == (1, DeliveryState.SENT, 250)
    assert attempt.relay is not None
    assert {"mail", "rcpt", "data", "body", "fence", "dot"} <= attempt.phases_ms.keys()
    assert submitted.message.direction == Direction.OUT
