"""The list of addresses that are not written to."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.errors import AdminsOnly
from apps.events.models import Event
from apps.outbound.bounces.suppressions import (
    add_suppression,
    in_force,
    remove_suppression,
    suppress,
    suppressed_among,
)
from apps.outbound.models import DeliveryState, Suppression, SuppressionReason
from apps.outbound.selectors import explain
from tests.outbound.sending import only_delivery, send
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ELENA = "elena@customer.example"


def bounce(house: House, now: datetime = NOW, address: str = ELENA) -> Suppression:
    return suppress(
        house.organisation.pk, address, SuppressionReason.HARD_BOUNCE, now=now, evidence="550 gone"
    )


def test_recipients_are_found_however_they_are_written(house: House, stranger: House) -> None:
    bounce(house)
    found = suppressed_among(house.organisation.pk, ["Elena@CUSTOMER.example", "ben@x.example"], NOW)
    assert list(found) == ["Elena@CUSTOMER.example"]
    change = found["Elena@CUSTOMER.example"]
    assert (change.state, change.cause) == (DeliveryState.SUPPRESSED, "suppressed")
    assert "550 gone" in change.reason
    assert "2026-05-31" in change.reason
    assert suppressed_among(stranger.organisation.pk, [ELENA], NOW) == {}
    assert suppressed_among(house.organisation.pk, [ELENA], NOW + timedelta(days=91)) == {}


def test_an_address_that_bounces_again_after_its_time_holds_longer(house: House) -> None:
    first = bounce(house)
    assert bounce(house, NOW + timedelta(days=1)).pk == first.pk
    second = bounce(house, NOW + timedelta(days=100))
    assert second.expires_at == NOW + timedelta(days=280)
    first.refresh_from_db()
    assert (first.removed_at, first.removed_by) == (first.expires_at, "expiry")
    assert Suppression.objects.count() == 2


def test_a_complaint_outweighs_a_bounce_and_not_the_other_way(house: House) -> None:
    bounce(house)
    row = suppress(house.organisation.pk, ELENA, SuppressionReason.COMPLAINT, now=NOW)
    assert (row.reason, row.expires_at) == (SuppressionReason.COMPLAINT, None)
    assert bounce(house).pk == row.pk
    assert in_force(house.organisation.pk, NOW).get().pk == row.pk


def test_one_that_was_removed_is_gone_and_remembered(house: House) -> None:
    row = bounce(house)
    remove_suppression(house.as_key, row, now=NOW)
    remove_suppression(house.as_key, row, now=NOW + timedelta(days=1))
    row.refresh_from_db()
    assert (row.removed_at, row.removed_by) == (NOW, house.as_key.actor)
    assert not in_force(house.organisation.pk, NOW).exists()
    kinds = (
        Event.objects.filter(kind__startswith="suppression.").order_by("id").values_list("kind", flat=True)
    )
    assert list(kinds) == ["suppression.added", "suppression.removed"]


def test_only_admins_change_the_list(house: House) -> None:
    row = bounce(house)
    with pytest.raises(AdminsOnly):
        remove_suppression(house.as_alice, row, now=NOW)
    with pytest.raises(AdminsOnly):
        add_suppression(house.as_alice, "ben@x.example", now=NOW)


def test_two_reports_at_once_make_one_row(house: House) -> None:
    barrier = threading.Barrier(4)

    def report() -> None:
        barrier.wait()
        try:
            bounce(house, timezone.now())
        finally:
            connection.close()

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Suppression.objects.count() == 1


def test_events_hold_no_address(house: House) -> None:
    bounce(house)
    assert ELENA not in str(list(Event.objects.values()))


def test_since_when_and_until_when_is_told_on_the_readers_clock(house: House) -> None:
    bounce(house, timezone.now())
    delivery = only_delivery(send(house.as_alice, ELENA))
    with timezone.override("Asia/Tokyo"):
        sentence = explain(delivery, timezone.now()).sentence
    assert sentence.startswith(
        "Not sent: mail to this address bounced for good (550 gone). Suppressed since "
    )
    assert sentence.count(" JST") == 2
    assert "UTC" not in sentence
    assert sentence.endswith("Remove the suppression to send before then.")
