"""Claims, leases, the fence, and what the sweeper finds."""

import threading
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from apps.mailboxes.models import Message
from apps.outbound.causes import Cause
from apps.outbound.delivery import (
    Claim,
    Evidence,
    claim_due,
    commit_to_send,
    deliver_here,
    keep_alive,
    record_result,
)
from apps.outbound.errors import LeaseLost
from apps.outbound.models import Delivery, DeliveryState, Lane
from apps.outbound.sweeper import sweep_deliveries
from apps.outbound.transitions import Change
from tests.outbound.sending import only_delivery, send
from tests.people import House

SENT = Change(DeliveryState.SENT, reason="Accepted by x: 250 fine")


def claim_one(house: House, recipient: str = "elena@x.example") -> Claim:
    send(house.as_key, recipient)
    (claim,) = claim_due(Lane.INTERACTIVE, limit=1)
    return claim


def lapse() -> None:
    """Let every lease have ended a moment ago."""
    Delivery.objects.filter(state="sending").update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def state_of(claim: Claim) -> str:
    return Delivery.objects.get(pk=claim.delivery_id).state


def test_a_claim_leases_for_a_minute_and_is_nobody_elses(house: House) -> None:
    claim = claim_one(house)
    delivery = Delivery.objects.get()
    assert delivery.state == DeliveryState.SENDING
    assert delivery.lease_expires_at is not None
    assert 55 < (delivery.lease_expires_at - timezone.now()).total_seconds() < 65
    assert claim_due(Lane.INTERACTIVE, limit=10) == []
    assert (claim.sender, claim.recipient, claim.number) == ("support@house.test", "elena@x.example", 1)


def test_claims_are_the_oldest_due_ones_of_their_lane(house: House) -> None:
    for n in range(4):
        send(house.as_key, f"c{n}@x.example", priority="low" if n == 0 else "")
    Delivery.objects.filter(recipient="c3@x.example").update(due_at=timezone.now() - timedelta(hours=1))
    assert [one.recipient for one in claim_due(Lane.INTERACTIVE, limit=2)] == ["c1@x.example", "c3@x.example"]
    assert [one.recipient for one in claim_due(Lane.BULK, limit=9)] == ["c0@x.example"]


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_claim_the_same_recipient(house: House) -> None:
    send(house.as_key, *(f"c{n}@x.example" for n in range(60)))
    claims: list[Claim] = []
    start = threading.Barrier(6)

    def work() -> None:
        start.wait()
        try:
            while batch := claim_due(Lane.INTERACTIVE, limit=3):
                claims.extend(batch)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(claims) == len({claim.delivery_id for claim in claims}) == 60


def test_renewing_lengthens_only_what_is_still_ours(house: House) -> None:
    claim = claim_one(house)
    Delivery.objects.update(lease_expires_at=F("lease_expires_at") - timedelta(seconds=50))
    assert keep_alive([claim.token, uuid.uuid4()]) == {claim.token}
    lease = Delivery.objects.get().lease_expires_at
    assert lease is not None and lease > timezone.now() + timedelta(seconds=50)
    lapse()
    assert keep_alive([claim.token]) == set()


def test_a_lapsed_lease_is_claimed_again_with_a_new_token(house: House) -> None:
    first = claim_one(house)
    lapse()
    assert sweep_deliveries() == 1
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.cause) == (DeliveryState.QUEUED, Cause.WORKER_LOST)
    (second,) = claim_due(Lane.INTERACTIVE, limit=1)
    assert second.token != first.token
    assert second.number == 2
    with pytest.raises(LeaseLost):
        commit_to_send(first)
    with pytest.raises(LeaseLost):
        record_result(first, SENT, Evidence(), timezone.now())
    commit_to_send(second)
    record_result(second, SENT, Evidence(), timezone.now())
    assert state_of(second) == DeliveryState.SENT
    outcomes = [one.outcome for one in Delivery.objects.get().attempts.all()]
    assert outcomes == [DeliveryState.QUEUED, DeliveryState.SENT]


def test_a_lapsed_lease_passes_no_fence_even_before_it_is_swept(house: House) -> None:
    claim = claim_one(house)
    lapse()
    with pytest.raises(LeaseLost):
        commit_to_send(claim)
    assert Delivery.objects.get().phase == ""


def test_a_lease_that_lapses_after_the_fence_is_uncertain(house: House) -> None:
    claim = claim_one(house)
    commit_to_send(claim)
    lapse()
    sweep_deliveries()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.cause, delivery.due_at) == (
        DeliveryState.UNCERTAIN,
        Cause.REPLY_LOST,
        None,
    )
    assert Message.objects.get().state == DeliveryState.UNCERTAIN
    assert claim_due(Lane.INTERACTIVE, limit=1) == []


def test_a_late_answer_decides_what_became_uncertain(house: House) -> None:
    claim = claim_one(house)
    commit_to_send(claim)
    lapse()
    sweep_deliveries()
    record_result(claim, SENT, Evidence(code=250), timezone.now())
    assert state_of(claim) == DeliveryState.SENT


def test_a_late_answer_changes_nothing_once_somebody_decided(house: House) -> None:
    claim = claim_one(house)
    commit_to_send(claim)
    lapse()
    sweep_deliveries()
    Delivery.objects.update(state=DeliveryState.BOUNCED)
    with pytest.raises(LeaseLost):
        record_result(claim, SENT, Evidence(), timezone.now())
    assert state_of(claim) == DeliveryState.BOUNCED


def test_recording_the_same_result_again_changes_nothing(house: House) -> None:
    claim = claim_one(house)
    commit_to_send(claim)
    record_result(claim, SENT, Evidence(), timezone.now())
    record_result(claim, SENT, Evidence(), timezone.now())
    assert state_of(claim) == DeliveryState.SENT


def test_a_message_is_called_by_its_least_finished_recipient(house: House) -> None:
    submitted = send(house.as_key, "a@x.example", "b@x.example", "bob@house.test")
    first, second = claim_due(Lane.INTERACTIVE, limit=2)

    def state() -> str:
        return Message.objects.get(pk=submitted.message.pk).state

    assert state() == DeliveryState.SENDING
    record_result(first, SENT, Evidence(), timezone.now())
    assert state() == DeliveryState.SENDING
    record_result(
        second, Change(DeliveryState.FAILED, Cause.RECIPIENT_REFUSED, "no"), Evidence(), timezone.now()
    )
    assert state() == DeliveryState.FAILED


def test_what_waits_beyond_its_lifetime_expires_with_its_last_obstacle(house: House) -> None:
    submitted = send(house.as_key, "elena@x.example")
    Delivery.objects.update(expires_at=timezone.now() - timedelta(seconds=1), reason="451 busy")
    sweep_deliveries()
    delivery = only_delivery(submitted)
    assert (delivery.state, delivery.cause, delivery.reason) == (
        DeliveryState.EXPIRED,
        Cause.GAVE_UP,
        "451 busy",
    )
    assert delivery.finished_at is not None


def test_a_held_local_recipient_whose_address_went_away_fails(house: House) -> None:
    send(house.as_alice, "bob@house.test", sender="alice@house.test", hold_seconds=5)
    Delivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    house.bobs.addresses.all().delete()
    (claim,) = claim_due(Lane.INTERACTIVE, limit=1)
    deliver_here(claim, timezone.now())
    assert Delivery.objects.get().cause == Cause.NO_SUCH_ADDRESS


def test_a_local_recipient_is_delivered_once_by_one_of_two_workers(house: House) -> None:
    send(house.as_alice, "support@house.test", sender="alice@house.test", hold_seconds=5)
    Delivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    (claim,) = claim_due(Lane.INTERACTIVE, limit=1)
    with pytest.raises(LeaseLost):
        deliver_here(replace(claim, token=uuid.uuid4()), timezone.now())
    assert house.support.entries.count() == 0
    deliver_here(claim, timezone.now())
    assert house.support.entries.count() == 1
    assert house.support.tickets.count() == 1
