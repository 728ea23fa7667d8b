"""Every page, walked: who is not signed in must sign in, and the outsider finds nothing."""

import uuid
from collections.abc import Iterator, Mapping

import pytest
from django.test import Client
from django.urls import URLPattern, reverse

from apps.mailboxes.models import Message
from apps.outbound.models import Delivery, Relay
from apps.tickets.models import Ticket
from apps.webmail import urls
from tests.arrivals import arrive
from tests.outbound.sending import send
from tests.people import House

# Pages about the person who asks; the outsider has their own.
OF_ONESELF = {"home", "rail", "compose", "outbox", "errors", "queue", "relays", "add-relay"}
FOR_EVERYBODY = {"sign-in", "sign-out"}
OF_SENT_MAIL = {"cancel", "retry"}
POSTED = {"read", "move", "star", "answer", "change-ticket", "note", "answer-ticket", "cancel", "retry", "resubmit",
          "discard", "resolve", "test-relay", "pause-relay", "resume-relay", "remove-relay"}  # fmt: skip


def named_patterns() -> Iterator[URLPattern]:
    """Every page but the sign-in: a new one is walked without being named here."""
    for pattern in urls.urlpatterns:
        assert isinstance(pattern, URLPattern)
        if pattern.name not in FOR_EVERYBODY:
            yield pattern


def things_of(house: House) -> dict[str, object]:
    """A value for every argument of every URL, all of this house."""
    message = arrive([house.support])
    delivery = send(house.as_key, "elena@customer.example").deliveries[0]
    assert isinstance(message, Message)
    return {
        "mailbox_id": house.support.pk,
        "folder": "inbox",
        "thread_id": message.thread_id,
        "message_id": message.pk,
        "ticket_id": Ticket.objects.get(mailbox=house.support, thread=message.thread_id).pk,
        "delivery_id": delivery.pk,
        "sent_id": delivery.message_id,
        "relay_id": Relay.objects.create(
            organisation=house.organisation, name="Relay of house.test", host="127.0.0.1", port=9
        ).pk,
    }


def address_of(pattern: URLPattern, things: Mapping[str, object]) -> str:
    if pattern.name in OF_SENT_MAIL:
        things = {**things, "message_id": things["sent_id"]}
    wanted = pattern.pattern.converters
    return reverse(f"webmail:{pattern.name}", kwargs={name: things[name] for name in wanted})


def ask(client: Client, pattern: URLPattern, address: str) -> int:
    return (client.post(address) if pattern.name in POSTED else client.get(address)).status_code


@pytest.mark.parametrize("pattern", list(named_patterns()), ids=lambda pattern: pattern.name)
def test_the_outsider_finds_nothing(
    pattern: URLPattern, house: House, outsider: Client, alice: Client
) -> None:
    address = address_of(pattern, things_of(house))
    if pattern.name in OF_ONESELF:
        answer = outsider.get(address, follow=True)
        assert answer.status_code == 200
        assert b"house.test" not in answer.content
        return
    assert ask(outsider, pattern, address) == 404
    assert ask(alice, pattern, address) != 404, "a test that asks for nothing proves nothing"


@pytest.mark.parametrize("pattern", list(named_patterns()), ids=lambda pattern: pattern.name)
def test_nobody_gets_anywhere_without_signing_in(pattern: URLPattern, house: House, nobody: Client) -> None:
    address = address_of(pattern, things_of(house))
    assert ask(nobody, pattern, address) in (302, 401)
    if pattern.name not in POSTED:
        assert nobody.get(address, headers={"HX-Request-Type": "partial"}).status_code == 401


def test_what_is_not_there_answers_like_what_is_not_for_one(house: House, alice: Client) -> None:
    things = dict.fromkeys(things_of(house), uuid.uuid4()) | {"folder": "inbox"}
    for pattern in named_patterns():
        if pattern.name not in OF_ONESELF:
            assert ask(alice, pattern, address_of(pattern, things)) == 404, pattern.name


def test_a_colleague_outside_a_mailbox_does_not_see_it(house: House, alice: Client) -> None:
    arrive([house.bobs], to="bob@house.test")
    assert alice.get(f"/m/{house.bobs.pk}/inbox/").status_code == 404
    assert alice.get(f"/m/{house.alices.pk}/inbox/").status_code == 200
    assert not Delivery.objects.exists()
