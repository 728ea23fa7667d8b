"""Taking back, trying again, deciding: who may, what moves, and what does not."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.principal import Principal
from apps.events.models import Event
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Folder, MailboxEntry, Message, Side
from apps.outbound.delivery import claim_due
from apps.outbound.errors import NotCancellable, NotResolvable, NotRetryable, OutboundError
from apps.outbound.models import Delivery, DeliveryState, Lane
from apps.outbound.services import (
    cancel_message,
    discard_delivery,
    resolve_uncertain,
    resubmit_delivery,
    retry_message,
)
from tests.outbound.sending import drain, make_due, only_delivery, send
from tests.people import House
from tests.remote.script import Phase, defer, hang_up, refuse
from tests.remote.server import RemoteServer


def senders_folder(message: Message) -> str:
    return MailboxEntry.objects.get(message=message, side=Side.SENDER).folder


def test_within_the_undo_window_a_message_is_taken_back_whole(house: House, relay: RemoteServer) -> None:
    message = send(house.as_alice, "elena@x.example", "bob@house.test", hold_seconds=10).message
    assert cancel_message(house.as_alice, message, timezone.now()) == 2
    message.refresh_from_db()
    assert message.state == DeliveryState.CANCELLED
    assert senders_folder(message) == Folder.TRASH
    Delivery.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
    drain()
    assert relay.connections == 0
    assert not MailboxEntry.objects.filter(mailbox=house.bobs).exists()
    with pytest.raises(NotCancellable):
        cancel_message(house.as_alice, message, timezone.now())


def test_what_a_worker_has_is_not_taken_back(house: House) -> None:
    message = send(house.as_key, "elena@x.example", "tomas@x.example").message
    claim_due(Lane.INTERACTIVE, limit=1)
    assert cancel_message(house.as_key, message, timezone.now()) == 1
    assert sorted(Delivery.objects.values_list("state", flat=True)) == ["cancelled", "sending"]
    assert senders_folder(message) == Folder.SENT
    with pytest.raises(NotCancellable):
        cancel_message(house.as_key, message, timezone.now())


def test_what_reached_a_colleague_at_once_lies_in_sent_after_the_rest_is_taken_back(house: House) -> None:
    message = send(house.as_key, "bob@house.test", "elena@x.example").message
    assert cancel_message(house.as_key, message, timezone.now()) == 1
    message.refresh_from_db()
    assert message.state == DeliveryState.DELIVERED
    assert senders_folder(message) == Folder.SENT


@pytest.mark.django_db(transaction=True)
def test_taking_back_and_taking_up_never_both_win(house: House) -> None:
    for _ in range(10):
        message = send(house.as_key, *(f"c{n}@x.example" for n in range(10))).message
        start = threading.Barrier(2)
        results: dict[str, int] = {}

        def in_thread(
            name: str, work: Callable[[], int], start: threading.Barrier, results: dict[str, int]
        ) -> None:
            start.wait()
            try:
                results[name] = work()
            finally:
                connection.close()

        def cancel(message: Message = message) -> int:
            try:
                return cancel_message(house.as_key, message, timezone.now())
            except NotCancellable:
                return 0

        def claim() -> int:
            return len(claim_due(Lane.INTERACTIVE, limit=5)) + len(claim_due(Lane.INTERACTIVE, limit=5))

        threads = [
            threading.Thread(target=in_thread, args=[name, work, start, results])
            for name, work in (("cancelled", cancel), ("claimed", claim))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        states = list(Delivery.objects.filter(message=message).values_list("state", flat=True))
        assert results["cancelled"] == states.count("cancelled")
        assert results["claimed"] == states.count("sending")
        assert len(states) == 10
        Delivery.objects.all().delete()


def test_trying_now_hurries_what_was_put_off_and_brings_back_what_failed(
    house: House, relay: RemoteServer
) -> None:
    relay.play(Phase.RCPT, defer(), recipient="busy@x.example")
    relay.play(Phase.RCPT, refuse(), recipient="gone@x.example")
    message = send(house.as_key, "busy@x.example", "gone@x.example", "elena@x.example").message
    drain()
    relay.forget_script()
    assert retry_message(house.as_key, message, timezone.now()) == 2
    drain()
    assert relay.taken_by_recipient == dict.fromkeys(
        ["busy@x.example", "gone@x.example", "elena@x.example"], 1
    )
    with pytest.raises(NotRetryable):
        retry_message(house.as_key, message, timezone.now())


def test_a_retry_is_the_same_message_with_the_same_id(house: House, relay: RemoteServer) -> None:
    relay.play(Phase.DOT, defer(), times=1)
    send(house.as_key, "elena@x.example")
    drain()
    make_due()
    drain()
    relay.play(Phase.DOT, hang_up(after_taking=True), times=1)
    second = send(house.as_key, "tomas@x.example")
    drain()
    resolve_uncertain(house.as_key, only_delivery(second), DeliveryState.QUEUED, timezone.now())
    drain()
    to_tomas = [one.content for one in relay.messages if one.recipients == ("tomas@x.example",)]
    assert len(to_tomas) == 2
    assert to_tomas[0] == to_tomas[1]


def test_a_retry_leaves_the_uncertain_to_a_person(house: House, relay: RemoteServer) -> None:
    relay.play(Phase.DOT, hang_up(), times=1)
    message = send(house.as_key, "elena@x.example").message
    drain()
    with pytest.raises(NotRetryable):
        retry_message(house.as_key, message, timezone.now())


@pytest.mark.parametrize("decision", [DeliveryState.SENT, DeliveryState.QUEUED, DeliveryState.BOUNCED])
def test_a_person_decides_the_uncertain_once(
    house: House, relay: RemoteServer, decision: DeliveryState
) -> None:
    relay.play(Phase.DOT, hang_up(), times=1)
    submitted = send(house.as_key, "elena@x.example")
    drain()
    delivery = only_delivery(submitted)
    with pytest.raises(NotResolvable):
        resolve_uncertain(house.as_key, delivery, DeliveryState.CANCELLED, timezone.now())
    resolve_uncertain(house.as_key, delivery, decision, timezone.now())
    delivery.refresh_from_db()
    assert (delivery.state, delivery.cause) == (decision, "resolved_by_person")
    with pytest.raises(NotResolvable):
        resolve_uncertain(house.as_key, delivery, decision, timezone.now())
    event = Event.objects.filter(delivery_id=delivery.pk).latest("id")
    assert (event.kind, event.actor) == (f"delivery.{decision}", house.as_key.actor)


def test_the_error_queue_is_worked_off_one_by_one(house: House, relay: RemoteServer) -> None:
    relay.play(Phase.RCPT, refuse())
    first, second = (only_delivery(send(house.as_key, f"c{n}@x.example")) for n in range(2))
    drain()
    relay.forget_script()
    resubmit_delivery(house.as_key, first, timezone.now())
    discard_delivery(house.as_key, second, timezone.now())
    for again in (discard_delivery, resubmit_delivery):
        with pytest.raises(NotRetryable):
            again(house.as_key, second, timezone.now())
    drain()
    assert relay.taken_by_recipient == {"c0@x.example": 1}
    second.refresh_from_db()
    assert second.state == DeliveryState.FAILED


def test_a_resubmitted_recipient_has_a_new_lifetime(house: House, relay: RemoteServer) -> None:
    relay.play(Phase.RCPT, refuse())
    delivery = only_delivery(send(house.as_key, "elena@x.example"))
    drain()
    Delivery.objects.update(expires_at=timezone.now() - timedelta(days=1), setbacks=9)
    resubmit_delivery(house.as_key, delivery, timezone.now())
    delivery.refresh_from_db()
    assert delivery.expires_at > timezone.now() + timedelta(days=4)
    assert delivery.setbacks == 0


@pytest.mark.parametrize(
    "act",
    [
        lambda who, delivery: cancel_message(who, delivery.message, timezone.now()),
        lambda who, delivery: retry_message(who, delivery.message, timezone.now()),
        lambda who, delivery: resubmit_delivery(who, delivery, timezone.now()),
        lambda who, delivery: discard_delivery(who, delivery, timezone.now()),
        lambda who, delivery: resolve_uncertain(who, delivery, DeliveryState.SENT, timezone.now()),
    ],
)
def test_an_outsider_a_colleague_and_a_recipient_learn_of_nothing(
    house: House, stranger: House, act: Callable[[Principal, Delivery], None]
) -> None:
    submitted = send(house.as_alice, "bob@house.test", "elena@x.example", sender="alice@house.test")
    delivery = submitted.deliveries[1]
    for who in (stranger.as_key, stranger.as_alice, house.as_bob, Principal.of_user(house.admin)):
        with pytest.raises(NotVisible):
            act(who, delivery)
    try:
        act(house.as_alice, delivery)
    except OutboundError as error:
        assert str(error)  # a matter of its state, and no secret from the sender
