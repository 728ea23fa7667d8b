"""A drain against a remote server: what each kind of answer makes of a delivery."""

import asyncio
import threading
import time
import uuid
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from apps.blobs.errors import BlobMissing, ObjectStoreUnavailable
from apps.outbound.causes import Cause
from apps.outbound.draining import preparing
from apps.outbound.draining.drain import Drain
from apps.outbound.models import Delivery, DeliveryState, Lane
from apps.outbound.relays.environment import reconcile_relays
from apps.outbound.sweeper import sweep_deliveries
from apps.outbound.wire.conversation import Timeouts
from tests.outbound.sending import QUICK, SHORT_LEASE, drain, make_due, only_delivery, send
from tests.people import House
from tests.remote.script import Answer, Phase, Stall, defer, hang_up, refuse
from tests.remote.server import RemoteServer


def send_one(house: House) -> Delivery:
    submitted = send(house.as_key, "elena@x.example")
    drain()
    return only_delivery(submitted)


@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.DATA, Phase.DOT])
def test_a_4yz_puts_the_recipient_off_and_a_later_try_succeeds(
    house: House, relay: RemoteServer, phase: Phase
) -> None:
    relay.play(phase, defer(), times=1)
    delivery = send_one(house)
    assert (delivery.state, delivery.cause) == (DeliveryState.DEFERRED, Cause.RECIPIENT_UNAVAILABLE)
    assert delivery.reason == "451 4.3.0 try again later"
    assert delivery.setbacks == 1
    assert delivery.due_at is not None and delivery.due_at > timezone.now() + timedelta(seconds=15)
    make_due()
    drain()
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.SENT
    assert relay.taken_by_recipient == {"elena@x.example": 1}


@pytest.mark.parametrize(
    ("phase", "cause"),
    [
        (Phase.RCPT, Cause.RECIPIENT_REFUSED),
        (Phase.DATA, Cause.MESSAGE_REFUSED),
        (Phase.DOT, Cause.MESSAGE_REFUSED),
    ],
)
def test_a_5yz_is_final(house: House, relay: RemoteServer, phase: Phase, cause: Cause) -> None:
    relay.play(phase, refuse())
    delivery = send_one(house)
    assert (delivery.state, delivery.cause) == (DeliveryState.FAILED, cause)
    assert delivery.reason == "550 5.1.1 no such user"
    assert relay.messages == []


@pytest.mark.parametrize(
    ("phase", "answer", "cause"),
    [
        (Phase.CONNECT, Answer(554, "5.7.1 go away"), Cause.RELAY_REFUSED),
        (Phase.EHLO, refuse(504, "5.5.1 no"), Cause.RELAY_REFUSED),
        (Phase.MAIL, refuse(550, "5.7.1 sender unwelcome"), Cause.RELAY_REFUSED),
        (Phase.RCPT, Answer(421, "4.3.2 closing down"), Cause.RELAY_UNAVAILABLE),
        (Phase.CONNECT, hang_up(), Cause.RELAY_UNAVAILABLE),
    ],
)
def test_the_relays_own_trouble_never_fails_a_recipient(
    house: House, relay: RemoteServer, phase: Phase, answer: Answer, cause: Cause
) -> None:
    relay.play(phase, answer)
    delivery = send_one(house)
    assert (delivery.state, delivery.cause) == (DeliveryState.DEFERRED, cause)


def test_a_relay_that_is_down_puts_all_off_and_takes_all_later(house: House, relay: RemoteServer) -> None:
    relay.close()
    send(house.as_key, *(f"c{n}@x.example" for n in range(20)))
    drain()
    assert set(Delivery.objects.values_list("state", "cause")) == {("deferred", "relay_unavailable")}
    relay.listen()
    make_due()
    drain()
    assert set(relay.taken_by_recipient.values()) == {1}
    assert len(relay.messages) == 20


def test_one_refused_recipient_does_not_touch_the_others(house: House, relay: RemoteServer) -> None:
    relay.play(Phase.RCPT, refuse(), recipient="gone@x.example")
    relay.play(Phase.RCPT, defer(), recipient="busy@x.example")
    send(house.as_key, "gone@x.example", "busy@x.example", "elena@x.example")
    drain()
    assert dict(Delivery.objects.values_list("recipient", "state")) == {
        "gone@x.example": "failed",
        "busy@x.example": "deferred",
        "elena@x.example": "sent",
    }


@pytest.mark.parametrize("took_it", [True, False])
def test_a_lost_reply_waits_for_a_person_and_is_never_sent_again_by_itself(
    house: House, relay: RemoteServer, *, took_it: bool
) -> None:
    relay.play(Phase.DOT, hang_up(after_taking=took_it))
    delivery = send_one(house)
    assert (delivery.state, delivery.cause) == (DeliveryState.UNCERTAIN, Cause.REPLY_LOST)
    assert delivery.due_at is None
    relay.forget_script()
    drain()
    assert len(relay.messages) == int(took_it)


def test_a_line_that_went_stale_costs_no_setback(house: House, relay: RemoteServer) -> None:
    relay.behave(messages_per_connection=1)
    send(house.as_key, *(f"c{n}@x.example" for n in range(3)))
    drain(replace(QUICK, relay=replace(QUICK.relay, connections=1)))
    assert set(Delivery.objects.values_list("state", "setbacks")) == {("sent", 0)}
    assert set(relay.taken_by_recipient.values()) == {1}
    assert relay.connections == 3


def test_a_second_relay_is_asked_when_the_first_is_down(house: House, relay: RemoteServer) -> None:
    reconcile_relays(["smtp://127.0.0.1:9?tls=none", f"{relay.url}?tls=none"])
    delivery = send_one(house)
    assert delivery.state == DeliveryState.SENT
    attempt = delivery.attempts.get()
    assert attempt.relay is not None and attempt.relay.port == relay.port


def test_without_any_relay_mail_waits_and_says_why(house: House, transactional_db: None) -> None:
    reconcile_relays([])
    delivery = send_one(house)
    assert (delivery.state, delivery.cause) == (DeliveryState.DEFERRED, Cause.NO_RELAY_SERVES)
    assert delivery.reason == "no relay is set up"


def test_bytes_that_cannot_be_read_now_cost_no_setback(
    house: House, relay: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_blobs: object) -> dict[uuid.UUID, bytes]:
        raise ObjectStoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(preparing, "read_many", away)
        delivery = send_one(house)
    assert (delivery.state, delivery.cause, delivery.setbacks) == ("deferred", Cause.STORE_UNAVAILABLE, 0)
    make_due()
    drain()
    assert relay.taken_by_recipient == {"elena@x.example": 1}


def test_bytes_that_are_gone_end_in_the_error_queue(
    house: House, relay: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_blobs: object) -> dict[uuid.UUID, bytes]:
        raise BlobMissing

    monkeypatch.setattr(preparing, "read_many", gone)
    delivery = send_one(house)
    assert (delivery.state, delivery.cause) == (DeliveryState.REJECTED, Cause.BYTES_MISSING)


def test_a_fault_of_ours_in_one_delivery_spares_the_others_and_is_told(
    house: House, relay: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(house.as_key, "poison@x.example", subject="Poison")
    send(house.as_key, "elena@x.example")

    def explode_for_one(_sender: str, _at: datetime, lines: bytes, *_more: object) -> None:
        if b"Subject: Poison" in lines:
            raise RecursionError

    monkeypatch.setattr(preparing, "signature_for", explode_for_one)
    drain()
    states = dict(Delivery.objects.values_list("recipient", "cause"))
    assert states == {"poison@x.example": Cause.PLATFORM_FAULT, "elena@x.example": ""}


PATIENT = replace(QUICK.relay, timeouts=Timeouts())


def test_leases_are_renewed_while_a_conversation_takes_long(house: House, relay: RemoteServer) -> None:
    stall = relay.stall(Phase.DATA)
    send(house.as_key, "elena@x.example")
    worker = threading.Thread(target=drain, args=[replace(QUICK, lease=SHORT_LEASE, relay=PATIENT)])
    worker.start()
    stall.wait_reached()
    first_lease_ends = Delivery.objects.get().lease_expires_at
    assert first_lease_ends is not None
    deadline = time.monotonic() + 10
    while timezone.now() < first_lease_ends + SHORT_LEASE.lease and time.monotonic() < deadline:
        assert sweep_deliveries() == 0
    stall.release()
    worker.join(10)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts_made) == (DeliveryState.SENT, 1)


async def stop_when(stall: Stall, *, then_release: bool) -> None:
    """Run a drain, tell it to stop when a conversation stands at `stall`, and see it end."""
    running = Drain(Lane.INTERACTIVE, replace(QUICK, relay=PATIENT))
    task = asyncio.create_task(running.run())
    await asyncio.to_thread(stall.wait_reached)
    running.stop()
    if then_release:
        stall.release()
    await asyncio.wait_for(task, 10)


def test_a_drain_told_to_stop_gives_back_what_is_before_the_fence(house: House, relay: RemoteServer) -> None:
    stall = relay.stall(Phase.DATA)
    send(house.as_key, "elena@x.example")
    asyncio.run(stop_when(stall, then_release=False))
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.cause, delivery.setbacks) == ("deferred", Cause.WORKER_STOPPED, 0)
    make_due()
    drain()
    assert relay.taken_by_recipient == {"elena@x.example": 1}


def test_a_drain_told_to_stop_hears_out_what_is_past_the_fence(house: House, relay: RemoteServer) -> None:
    stall = relay.stall(Phase.DOT)
    send(house.as_key, "elena@x.example")
    asyncio.run(stop_when(stall, then_release=True))
    assert Delivery.objects.get().state == DeliveryState.SENT


def test_a_drain_told_to_stop_ends_although_the_answer_never_comes(house: House, relay: RemoteServer) -> None:
    stall = relay.stall(Phase.DOT)
    send(house.as_key, "elena@x.example")
    asyncio.run(stop_when(stall, then_release=False))
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.phase) == (DeliveryState.SENDING, "committing")
    Delivery.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    sweep_deliveries()
    assert Delivery.objects.get().state == DeliveryState.UNCERTAIN
