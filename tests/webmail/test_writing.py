"""Writing: what the composer sends, what it is answered, and taking back."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from apps.mailboxes.models import Folder, MailboxEntry, Message, Side
from apps.mailboxes.selectors import raw_of
from apps.mime.parse import parse
from apps.outbound.models import Delivery, DeliveryState
from apps.tickets.models import Ticket, TicketState
from apps.webmail.written import split_addresses
from tests.arrivals import arrive
from tests.outbound.sending import drain
from tests.people import House
from tests.webmail.conftest import browser_of

COMPOSE = reverse("webmail:compose")


def new_mail(**fields: Any) -> dict[str, Any]:
    return {
        "from": "alice@house.test",
        "to": "Elena Marsh <elena@customer.example>",
        "subject": "Hello",
        "text": "Good morning",
        **fields,
    }


def answer_ticket(ticket: Ticket) -> str:
    return reverse("webmail:answer-ticket", kwargs={"ticket_id": ticket.pk})


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("a@x.example, b@x.example", ["a@x.example", "b@x.example"]),
        ("a@x.example; b@x.example\nc@x.example", ["a@x.example", "b@x.example", "c@x.example"]),
        ('"Marsh, Elena" <e@x.example>, b@x.example', ['"Marsh, Elena" <e@x.example>', "b@x.example"]),
        (r'"A \" , B" <a@x.example>', [r'"A \" , B" <a@x.example>']),
        (" , ;; ", []),
        ("no address", ["no address"]),
    ],
)
def test_typed_addresses_are_split_and_none_is_dropped(typed: str, parts: list[str]) -> None:
    assert list(split_addresses(typed)) == parts


def test_a_new_mail_waits_out_its_undo_window(house: House, alice: Client) -> None:
    file = SimpleUploadedFile("plan.pdf", b"%PDF", content_type="application/pdf")
    answer = alice.post(COMPOSE, new_mail(bcc="bob@house.test", files=[file]))
    assert answer.status_code == 202
    assert answer.json()["undo_seconds"] == 10
    message = Message.objects.get()
    assert {delivery.recipient for delivery in message.deliveries.all()} == {
        "elena@customer.example",
        "bob@house.test",
    }
    assert set(message.deliveries.values_list("state", flat=True)) == {DeliveryState.SCHEDULED}
    parsed = parse(raw_of(message))
    assert [part.filename for part in parsed.parts] == ["plan.pdf"]
    assert parsed.to[0].name == "Elena Marsh"
    shown = alice.get(answer.json()["next_url"])
    assert "undo window" in shown.content.decode()


def test_undo_takes_it_back(house: House, alice: Client) -> None:
    answer = alice.post(COMPOSE, new_mail()).json()
    assert alice.post(answer["cancel_url"]).status_code == 200
    assert Delivery.objects.get().state == DeliveryState.CANCELLED
    assert alice.post(answer["cancel_url"]).status_code == 409


def test_the_same_key_sends_once(house: House, alice: Client) -> None:
    for _ in range(2):
        assert alice.post(COMPOSE, new_mail(idempotency_key="one click")).status_code == 202
    assert Message.objects.count() == 1
    changed = alice.post(COMPOSE, new_mail(idempotency_key="one click", text="Something else"))
    assert changed.status_code == 409
    assert "sent already" in changed.json()["errors"][""]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"to": ""}, "to"),
        ({"to": "elena@customer.example, not an address"}, "to"),
        ({"cc": "nobody"}, "cc"),
        ({"from": "support@stranger.test"}, "from"),
        ({"from": ""}, "from"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    house: House, stranger: House, alice: Client, fields: dict[str, str], wrong: str
) -> None:
    answer = alice.post(COMPOSE, new_mail(**fields))
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [wrong]
    assert not Message.objects.exists()


def test_an_answer_changes_its_ticket_and_stays_in_the_conversation(house: House, alice: Client) -> None:
    question = arrive(house.support)
    ticket = Ticket.objects.get()
    fields = {"to": "elena@customer.example", "text": "It is mended.", "state": "solved"}
    assert alice.post(answer_ticket(ticket), fields).status_code == 202
    ticket.refresh_from_db()
    assert ticket.state == TicketState.SOLVED
    sent = Message.objects.exclude(pk=question.pk).get()
    assert sent.thread == question.thread
    assert sent.sender_address == "support@house.test"


def test_an_empty_answer_is_a_slip_of_the_hand(house: House, alice: Client) -> None:
    arrive(house.support)
    answer = alice.post(answer_ticket(Ticket.objects.get()), {"to": "elena@customer.example", "text": "  "})
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == ["text"]


def test_personal_mail_is_answered_from_its_mailbox(house: House, alice: Client) -> None:
    question = arrive(house.alices, to="alice@house.test")
    address = reverse("webmail:answer", kwargs={"mailbox_id": house.alices.pk, "message_id": question.pk})
    fields = {"to": "elena@customer.example", "text": "Gladly.", "from": "support@house.test"}
    assert alice.post(address, fields).status_code == 202
    sent = Message.objects.exclude(pk=question.pk).get()
    assert (sent.sender_address, sent.subject) == ("alice@house.test", "Re: Invoice 20931 charged twice")
    assert sent.thread == question.thread
    assert MailboxEntry.objects.get(message=sent, side=Side.SENDER).folder == Folder.OUTBOX


def test_an_address_nobody_owns_is_told_at_once(house: House, alice: Client) -> None:
    answer = alice.post(COMPOSE, new_mail(to="elena@customer.example, nobody@house.test"))
    assert answer.status_code == 202
    assert "nobody@house.test" in answer.json()["sentence"]
    page = alice.get(reverse("webmail:errors")).content.decode()
    assert "nobody@house.test" in page
    assert "elena@customer.example" not in page


def test_the_outbox_says_why_each_waits(house: House, alice: Client) -> None:
    alice.post(COMPOSE, new_mail())
    page = alice.get(reverse("webmail:outbox")).content.decode()
    assert "elena@customer.example" in page
    assert "undo window" in page


def test_a_failure_is_tried_again_or_taken_off_the_list(house: House, alice: Client) -> None:
    alice.post(COMPOSE, new_mail(to="nobody@house.test, nobody-else@house.test"))
    again, off = Delivery.objects.order_by("recipient")
    assert alice.post(reverse("webmail:resubmit", kwargs={"delivery_id": again.pk})).status_code == 200
    assert alice.post(reverse("webmail:discard", kwargs={"delivery_id": off.pk})).status_code == 200
    page = alice.get(reverse("webmail:errors")).content.decode()
    assert off.recipient not in page
    assert alice.post(reverse("webmail:discard", kwargs={"delivery_id": off.pk})).status_code == 409


def test_what_nobody_can_tell_is_decided_by_a_person(house: House, alice: Client) -> None:
    alice.post(COMPOSE, new_mail())
    Delivery.objects.update(state=DeliveryState.UNCERTAIN, due_at=None, reason="The line broke")
    delivery = Delivery.objects.get()
    address = reverse("webmail:resolve", kwargs={"delivery_id": delivery.pk})
    assert "It arrived" in alice.get(reverse("webmail:outbox")).content.decode()
    assert alice.post(address, {"state": "elsewhere"}).status_code == 422
    assert alice.post(address, {"state": "sent"}).status_code == 200
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.SENT


@pytest.mark.django_db(transaction=True)  # the worker has connections of its own
def test_a_colleague_on_the_receiving_side_never_learns_of_bcc(house: House, alice: Client) -> None:
    alice.post(COMPOSE, new_mail(to="bob@house.test", bcc="secret@customer.example"))
    Delivery.objects.update(due_at="2026-01-01T00:00:00Z")
    drain()
    message = Message.objects.get()
    kwargs = {"mailbox_id": house.bobs.pk, "folder": Folder.INBOX, "thread_id": message.thread_id}
    bob = browser_of(house.bob)
    page = bob.get(reverse("webmail:conversation", kwargs=kwargs)).content.decode()
    assert "Good morning" in page
    assert "secret@customer.example" not in page
    assert "secret@customer.example" not in bob.get(reverse("webmail:outbox")).content.decode()
