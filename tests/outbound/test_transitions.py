"""The arrows that nobody's claim draws: bounces, suppressions, answers, a person's other relay."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.events.models import Event
from apps.mailboxes.models import Message
from apps.outbound.causes import Cause
from apps.outbound.delivery import Evidence, claim_due, commit_to_send, record_result
from apps.outbound.models import Delivery, DeliveryState, Lane, Relay
from apps.outbound.transitions import Change, bounce, cancel_replied, reroute, suppress_waiting
from tests.outbound.sending import only_delivery, send
from tests.people import House

BOUNCED = Change(DeliveryState.BOUNCED, Cause.RECIPIENT_REFUSED, "550 5.1.1 no such user")
SUPPRESSED = Change(DeliveryState.SUPPRESSED, Cause.RECIPIENT_REFUSED, "It bounced before.")


def states() -> dict[str, str]:
    return dict(Delivery.objects.values_list("recipient", "state"))


def test_a_bounce_finds_what_was_sent_or_uncertain_and_nothing_else(house: House) -> None:
    submitted = send(
        house.as_key, "sent@x.example", "uncertain@x.example", "queued@x.example", "bob@house.test"
    )
    for state in (DeliveryState.SENT, DeliveryState.UNCERTAIN):
        Delivery.objects.filter(recipient__startswith=state).update(state=state, due_at=None)
    changed = {one.recipient: bounce(one.pk, BOUNCED, timezone.now()) for one in Delivery.objects.all()}
    assert changed == {
        "sent@x.example": True,
        "uncertain@x.example": True,
        "queued@x.example": False,
        "bob@house.test": False,
    }
    assert states()["bob@house.test"] == DeliveryState.DELIVERED
    assert Event.objects.filter(kind="delivery.bounced").count() == 2
    assert Delivery.objects.get(recipient="sent@x.example").finished_at is not None
    assert not bounce(submitted.deliveries[0].pk, BOUNCED, timezone.now())


def test_suppressing_finds_every_mail_of_the_organisation_that_waits_and_no_others(
    house: House, stranger: House
) -> None:
    send(house.as_key, "elena@x.example", "other@x.example")
    send(house.as_key, "elena@x.example")
    send(stranger.as_key, "elena@x.example", sender="support@stranger.test")
    assert suppress_waiting(house.organisation.pk, ["elena@x.example"], SUPPRESSED, timezone.now()) == 2
    assert set(Delivery.objects.filter(state="suppressed").values_list("recipient", "organisation")) == {
        ("elena@x.example", house.organisation.pk)
    }
    assert set(Delivery.objects.exclude(state="suppressed").values_list("state", flat=True)) == {"queued"}


def test_an_answer_cancels_only_what_was_to_be_cancelled_by_it(house: House) -> None:
    send(house.as_key, "elena@x.example", "erik@x.example")
    wished = Delivery.objects.filter(recipient="elena@x.example")
    wished.update(cancel_if_replied=True)
    assert cancel_replied(list(Delivery.objects.values_list("pk", flat=True)), timezone.now()) == 1
    assert states() == {"elena@x.example": "cancelled", "erik@x.example": "queued"}
    assert wished.get().cause == Cause.REPLIED


def test_another_relay_is_asked_at_once_except_for_what_is_scheduled(house: House) -> None:
    relay = Relay.objects.create(
        organisation=house.organisation, name="other", host="other.example", port=25, security="none"
    )
    deferred = only_delivery(send(house.as_key, "elena@x.example"))
    Delivery.objects.update(state="deferred", due_at=timezone.now() + timedelta(hours=1))
    scheduled = only_delivery(send(house.as_key, "erik@x.example", hold_seconds=60))
    both = Delivery.objects.filter(pk__in=[deferred.pk, scheduled.pk])
    assert reroute(both, relay.pk, actor="user:x", now=timezone.now()) == 1
    (claim,) = claim_due(Lane.INTERACTIVE, limit=5)
    assert claim.delivery_id == deferred.pk
    deferred.refresh_from_db()
    assert deferred.pinned_relay == relay


@pytest.mark.parametrize("state", [DeliveryState.REJECTED, DeliveryState.SUPPRESSED, DeliveryState.CANCELLED])
def test_what_is_found_at_the_claim_ends_it(house: House, state: DeliveryState) -> None:
    send(house.as_key, "elena@x.example")
    (claim,) = claim_due(Lane.INTERACTIVE, limit=1)
    change = Change(state, Cause.MESSAGE_REFUSED, "why", attempted=False)
    record_result(claim, change, Evidence(), timezone.now())
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts_made, delivery.attempts.count()) == (state, 0, 0)
    assert Message.objects.get().state == state


def test_what_no_server_was_asked_for_uses_up_no_attempt(house: House) -> None:
    send(house.as_key, "elena@x.example")
    now = timezone.now()
    waits = Change(DeliveryState.DEFERRED, Cause.REQUESTED, "why", due_at=now, attempted=False)
    for _time in range(3):
        (claim,) = claim_due(Lane.INTERACTIVE, limit=1)
        assert claim.number == 1
        record_result(claim, waits, Evidence(), now)
    (claim,) = claim_due(Lane.INTERACTIVE, limit=1)
    commit_to_send(claim)
    record_result(claim, Change(DeliveryState.SENT), Evidence(), now)
    delivery = Delivery.objects.get()
    assert (delivery.attempts_made, delivery.setbacks) == (1, 0)
    assert delivery.attempts.get().outcome == DeliveryState.SENT
