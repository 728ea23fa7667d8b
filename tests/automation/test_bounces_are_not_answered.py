"""No report of a mail system, of all in a public collection, gets an automatic answer."""

from dataclasses import replace

import pytest
from django.utils import timezone

from apps.automation.models import Acknowledgement
from apps.mailboxes.projection import prepare
from apps.mime.parse import parse
from apps.outbound.bounces.arrivals import as_kind, recognise
from apps.outbound.bounces.reading import kind_of
from apps.outbound.models import Delivery
from apps.tickets.intake import file_message
from tests.automation.acknowledging import acknowledge_all, switch_on
from tests.mime.mails import corpus
from tests.mime.test_corpora import envelope_sender_of
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)


def test_no_bounce_of_a_public_collection_is_acknowledged(house: House) -> None:
    switch_on(house)
    files = corpus("bounces")
    for number, path in enumerate(files):
        raw = path.read_bytes()
        sender = envelope_sender_of(raw)
        # Each starts a ticket of its own, as none of them is about a mail of ours.
        alone = replace(parse(raw), in_reply_to=(), references=(), message_id=f"{number}@x")
        prepared = prepare(raw, parsed=alone)
        report = recognise(prepared, raw, envelope_sender=sender)
        file_message(
            as_kind(prepared, kind_of(report)) if report else prepared,
            organisation_id=house.organisation.pk,
            mailboxes=[house.support],
            received_at=timezone.now(),
            envelope_sender=sender,
        )
    acknowledge_all()
    assert Acknowledgement.objects.count() == len(files)
    assert set(Acknowledgement.objects.values_list("state", flat=True)) == {"withheld"}
    assert not Delivery.objects.exists()
