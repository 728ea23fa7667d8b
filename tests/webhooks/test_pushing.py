"""Events reach an integrator's server, over real HTTP; and what happens when they do not."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from apps.events.models import Cursor, Event
from apps.events.services import publish
from apps.organisations.models import new_id
from apps.webhooks.connection import PushPolicy, post
from apps.webhooks.errors import PushFailed
from apps.webhooks.models import DeliveryState, DisabledBecause, Webhook, WebhookDelivery
from apps.webhooks.queue import (
    DISABLE_AFTER,
    GIVE_UP_AFTER,
    LONGEST_PAUSE,
    claim_due,
    forget_finished,
    give_up_old,
    is_anything_due,
    record_success,
    recover_lapsed,
)
from apps.webhooks.services import create_webhook, send_test_event
from apps.webhooks.target import read_target
from tests.arrivals import arrive
from tests.people import House
from tests.webhooks.conftest import LOOPBACK
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)

PushAll = Callable[..., None]


def hook(house: House, url: str, *kinds: str) -> tuple[Webhook, str]:
    return create_webhook(
        house.as_key, url=url, event_kinds=kinds or ("*",), allowed=LOOPBACK, now=timezone.now()
    )


def make_due() -> None:
    """Let every wait be over."""
    WebhookDelivery.objects.filter(state="waiting").update(due_at=timezone.now())
    Webhook.objects.update(paused_until=None)


def states() -> list[str]:
    return list(WebhookDelivery.objects.order_by("event_id").values_list("state", flat=True))


def test_a_new_ticket_is_told_in_ids_and_signed(house: House, receiver: Receiver, push_all: PushAll) -> None:
    _webhook, secret = hook(house, receiver.url, "ticket.opened")
    arrive(house.support)
    push_all()
    (got,) = receiver.got
    assert got.path == "/hook?shop=1"
    assert got.headers["content-type"] == "application/json"
    told = Verifier(secret).verify(got.body, got.headers)
    event = Event.objects.get(kind="ticket.opened")
    assert got.headers["webhook-id"] == f"evt_{event.pk}"
    assert told == {
        "type": "ticket.opened",
        "timestamp": event.created_at.isoformat(),
        "data": {
            "event": event.pk,
            "message": str(event.message_id),
            "ticket": str(event.ticket_id),
            "delivery": None,
        },
    }
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.last_status, delivery.attempts) == ("delivered", 204, 1)


def test_no_word_or_address_leaves_by_a_webhook(house: House, receiver: Receiver, push_all: PushAll) -> None:
    hook(house, receiver.url)
    arrive(house.support)
    push_all()
    assert len(receiver.got) >= 2
    for got in receiver.got:
        for secret in (b"elena", b"customer.example", b"Invoice", b"house.test"):
            assert secret not in got.body


def test_another_secret_does_not_verify(house: House, receiver: Receiver, push_all: PushAll) -> None:
    hook(house, receiver.url, "ticket.opened")
    _other, wrong = hook(house, receiver.url, "conversation.moved")
    arrive(house.support)
    push_all()
    with pytest.raises(WebhookVerificationError):
        Verifier(wrong).verify(receiver.got[0].body, receiver.got[0].headers)


def test_only_what_was_asked_for_and_only_ones_own_is_told(
    house: House, stranger: House, receiver: Receiver, push_all: PushAll
) -> None:
    publish(house.organisation.pk, "ticket.opened", ticket_id=new_id())  # before the webhook was made
    hook(house, receiver.url, "ticket.*", "message.received")
    publish(house.organisation.pk, "ticket.changed", ticket_id=new_id())
    publish(house.organisation.pk, "message.received", message_id=new_id())
    publish(house.organisation.pk, "message.submitted", message_id=new_id())
    publish(house.organisation.pk, "tickets.other", ticket_id=new_id())
    publish(stranger.organisation.pk, "ticket.changed", ticket_id=new_id())
    push_all()
    assert sorted(json.loads(got.body)["type"] for got in receiver.got) == [
        "message.received",
        "ticket.changed",
    ]


def test_an_event_is_told_once_however_often_the_log_is_read(
    house: House, receiver: Receiver, push_all: PushAll
) -> None:
    hook(house, receiver.url, "ticket.*")
    publish(house.organisation.pk, "ticket.changed", ticket_id=new_id())
    push_all()
    Cursor.objects.update(sequence=0)
    push_all()
    assert len(receiver.got) == 1


def test_a_refusal_waits_and_is_repeated_with_the_same_id_and_body(
    house: House, receiver: Receiver, push_all: PushAll
) -> None:
    webhook, secret = hook(house, receiver.url, "ticket.*")
    receiver.answers = [500, 302]
    receiver.headers = {"Location": "http://127.0.0.1:9/"}
    publish(house.organisation.pk, "ticket.changed", ticket_id=new_id())
    push_all()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.last_status, delivery.last_error) == ("waiting", 500, "refused")
    assert delivery.last_reason == "It answered 500 Internal Server Error."
    assert delivery.due_at is not None
    assert delivery.due_at > timezone.now()
    webhook.refresh_from_db()
    assert webhook.failing_since is not None
    make_due()
    push_all()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.last_error, delivery.attempts) == ("waiting", "redirected", 2)
    make_due()
    push_all()
    assert states() == ["delivered"]
    assert len({(got.headers["webhook-id"], got.body) for got in receiver.got}) == 1
    Verifier(secret).verify(receiver.got[2].body, receiver.got[2].headers)
    assert Webhook.objects.filter(failing_since=None, paused_until=None).exists()


def test_a_receiver_that_is_away_is_asked_with_one_event_and_not_with_all(
    house: House, receiver: Receiver, push_all: PushAll
) -> None:
    webhook, _secret = hook(house, receiver.url, "ticket.*")
    Webhook.objects.update(failing_since=timezone.now() - timedelta(hours=2))
    receiver.answers = [503] * 100
    for _ in range(30):
        publish(house.organisation.pk, "ticket.changed", ticket_id=new_id())
    push_all()
    assert len(receiver.got) == 1
    webhook.refresh_from_db()
    assert webhook.paused_until is not None
    assert webhook.paused_until - timezone.now() <= LONGEST_PAUSE
    assert not is_anything_due()
    receiver.answers = []
    make_due()
    push_all()
    assert set(states()) == {"delivered"}
    assert len(receiver.got) == 31


def test_one_event_that_is_refused_for_itself_keeps_no_other(
    house: House, receiver: Receiver, push_all: PushAll
) -> None:
    hook(house, receiver.url, "ticket.*")
    receiver.answers = [422]
    for _ in range(3):
        publish(house.organisation.pk, "ticket.changed", ticket_id=new_id())
    push_all()
    Webhook.objects.update(paused_until=None)
    push_all()
    assert sorted(states()) == ["delivered", "delivered", "waiting"]


def test_gone_switches_it_off_at_once(house: House, receiver: Receiver, push_all: PushAll) -> None:
    webhook, _secret = hook(house, receiver.url, "ticket.*")
    receiver.answers = [410]
    publish(house.organisation.pk, "ticket.changed", ticket_id=new_id())
    push_all()
    webhook.refresh_from_db()
    assert (webhook.is_active, webhook.disabled_because) == (False, DisabledBecause.GONE)
    assert Event.objects.get(kind="webhook.disabled").data["because"] == "gone"
    publish(house.organisation.pk, "ticket.changed", ticket_id=new_id())
    make_due()
    push_all()
    assert len(receiver.got) == 1


def test_five_days_of_failure_switch_it_off(house: House, receiver: Receiver, push_all: PushAll) -> None:
    webhook, _secret = hook(house, receiver.url, "ticket.*")
    Webhook.objects.update(failing_since=timezone.now() - DISABLE_AFTER)
    receiver.answers = [500]
    publish(house.organisation.pk, "ticket.changed", ticket_id=new_id())
    push_all()
    webhook.refresh_from_db()
    assert (webhook.is_active, webhook.disabled_because) == (False, DisabledBecause.FAILING)


def test_after_three_days_an_event_is_given_up(house: House, receiver: Receiver, push_all: PushAll) -> None:
    hook(house, receiver.url, "ticket.*")
    receiver.answers = [500]
    publish(house.organisation.pk, "ticket.changed", ticket_id=new_id())
    push_all()
    assert give_up_old(timezone.now()) == 0
    later = timezone.now() + GIVE_UP_AFTER
    assert give_up_old(later) == 1
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.last_error, delivery.finished_at) == ("given_up", "refused", later)
    assert forget_finished(later) == 0
    assert forget_finished(later + timedelta(days=15)) == 1


def test_what_a_dead_worker_held_is_told_again(house: House, receiver: Receiver, push_all: PushAll) -> None:
    hook(house, receiver.url, "ticket.*")
    publish(house.organisation.pk, "ticket.changed", ticket_id=new_id())
    receiver.answers = [500]
    push_all()
    make_due()
    (claim,) = claim_due(limit=10)
    assert claim_due(limit=10) == []
    assert recover_lapsed() == 0
    WebhookDelivery.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert recover_lapsed() == 1
    make_due()
    push_all()
    assert states() == ["delivered"]
    # The one that was thought dead comes back with its old token, and changes nothing.
    WebhookDelivery.objects.update(state=DeliveryState.DELIVERED, last_status=204)
    assert not record_success(claim, 200, timezone.now())
    assert WebhookDelivery.objects.get().last_status == 204


def test_a_test_goes_to_one_webhook_alone_and_past_its_pause(
    house: House, receiver: Receiver, push_all: PushAll
) -> None:
    webhook, _secret = hook(house, receiver.url, "ticket.*")
    hook(house, receiver.url, "*")
    Webhook.objects.update(
        failing_since=timezone.now() - timedelta(days=1), paused_until=timezone.now() + timedelta(minutes=5)
    )
    send_test_event(house.as_key, webhook, timezone.now())
    push_all()
    assert [json.loads(got.body)["type"] for got in receiver.got] == ["webhook.tested"]


def reason_of(url: str, policy: PushPolicy) -> str:
    target = read_target(url, LOOPBACK)
    with pytest.raises(PushFailed) as caught:
        asyncio.run(post(target, b"{}", {}, policy))
    return caught.value.code


def test_a_name_that_leads_inside_is_refused_when_the_socket_is_opened(receiver: Receiver) -> None:
    """`localhost` passes every check of the text; the address behind it does not."""
    assert reason_of(f"http://localhost:{receiver.port}/", PushPolicy()) == "address_forbidden"
    assert reason_of(f"https://localhost:{receiver.port}/", PushPolicy()) == "address_forbidden"
    assert receiver.got == []


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "127.1"])
def test_a_number_that_means_an_address_is_seen_through(receiver: Receiver, host: str) -> None:
    assert reason_of(f"http://{host}:{receiver.port}/", PushPolicy()) in {"address_forbidden", "unresolvable"}
    assert receiver.got == []


def test_a_name_that_changes_its_mind_after_the_check_is_not_asked_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the socket goes to the address that was checked, and the name is resolved once."""
    asked: list[str] = []
    resolve = asyncio.base_events.BaseEventLoop.getaddrinfo

    async def counting(self: asyncio.BaseEventLoop, host: str, *args: object, **kwargs: object) -> object:
        asked.append(host)
        return await resolve(self, "127.0.0.1" if host == "rebind.example" else host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", counting)
    target = read_target(f"http://rebind.example:{receiver.port}/", LOOPBACK)
    status = asyncio.run(post(target, b"{}", {}, PushPolicy(allowed_networks=LOOPBACK)))
    assert status == 204
    assert asked.count("rebind.example") == 1
    assert receiver.got[0].headers["host"] == f"rebind.example:{receiver.port}"


def test_failures_have_names(receiver: Receiver) -> None:
    policy = PushPolicy(allowed_networks=LOOPBACK, deadline_seconds=0.3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert reason_of(f"http://127.0.0.1:{taken.getsockname()[1]}/", policy) == "unreachable"
    patient = replace(policy, deadline_seconds=10)
    assert reason_of(f"https://127.0.0.1:{receiver.port}/", patient) == "tls_failed"
    assert reason_of("http://no-such-name.invalid:8080/", patient) == "unresolvable"
    receiver.stalls = threading.Event()
    assert reason_of(receiver.url, policy) == "timed_out"


def test_an_endless_answer_is_not_read(receiver: Receiver) -> None:
    receiver.answers, receiver.body = [200], b"x" * 1_000_000
    target = read_target(receiver.url, LOOPBACK)
    assert asyncio.run(post(target, b"{}", {}, PushPolicy(allowed_networks=LOOPBACK))) == 200
