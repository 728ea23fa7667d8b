"""A mail that was accepted and came back, in a line."""

import uuid

from django.db import transaction
from django.utils import timezone

from apps.blobs.services import put, stage
from apps.mailboxes.models import Folder
from apps.mailboxes.projection import prepare
from apps.mailboxes.services import move_sender_copy
from apps.outbound.bounces.arrivals import Arrival, recognise, take_in
from apps.outbound.bounces.return_path import return_paths
from apps.outbound.models import Delivery, DeliveryState
from tests.outbound.sending import only_delivery, send
from tests.people import House
from tests.reports import dsn

ELENA = "elena@customer.example"


def bounced(house: House) -> Delivery:
    """A mail that was accepted and came back."""
    delivery = only_delivery(send(house.as_alice, ELENA))
    move_sender_copy(delivery.message, Folder.SENT)
    return came_back(house, delivery)


def came_back(house: House, delivery: Delivery) -> Delivery:
    """A report on a delivery that was accepted: there is no such address."""
    Delivery.objects.filter(pk=delivery.pk).update(state=DeliveryState.SENT, due_at=None)
    raw = dsn()
    prepared = prepare(raw)
    raw_blob = put(house.organisation.pk, stage(raw))
    report = recognise(prepared, raw, envelope_sender="")
    assert report is not None
    arrival = Arrival(
        uuid.uuid4(),
        house.organisation.pk,
        [return_paths().of(delivery.pk, "support@house.test")],
        prepared,
        raw_blob,
        timezone.now(),
    )
    with transaction.atomic():
        assert take_in(arrival, report, [house.support], timezone.now()) is not None
    delivery.refresh_from_db()
    return delivery
