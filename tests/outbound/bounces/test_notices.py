"""The sender is told what is late or lost: once, and in one line however many it concerns."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.events.models import Event
from apps.mailboxes.models import MailboxEntry, Side
from apps.outbound.bounces.notices import sentence_of
from apps.outbound.bounces.suppressions import add_suppression, remove_suppression
from apps.outbound.errors import NotRetryable
from apps.outbound.models import (
    Delivery,
    DeliveryNotice,
    DeliveryState,
    NoticeKind,
    SendingPolicy,
    Suppression,
)
from apps.outbound.services import resubmit_delivery, retry_message
from tests.outbound.sending import drain, only_delivery, send
from tests.people import House
from tests.remote.script import Phase, defer, refuse
from tests.remote.server import RemoteServer
from tests.telling import tell_senders

pytestmark = pytest.mark.django_db(transaction=True)

ELENA = "elena@customer.example"
LATER = timedelta(hours=4, minutes=5)


def test_a_recipient_who_waits_for_hours_is_told_of_once_with_the_reason(
    house: House, relay: RemoteServer
) -> None:
    relay.play(Phase.RCPT, defer(450, "4.2.0 greylisted, come back"))
    submitted = send(house.as_alice, ELENA)
    drain()
    now = timezone.now()
    assert tell_senders(now + timedelta(hours=3, minutes=55)) == 0
    assert tell_senders(now + LATER) == 1
    assert tell_senders(now + LATER) == 0
    notice = DeliveryNotice.objects.get(message=submitted.message)
    sentence = sentence_of(notice, timezone.now())
    assert sentence.startswith(f"Still waiting for {ELENA} since ")
    assert "greylisted, come back" in sentence
    assert "Next try at" in sentence
    assert only_delivery(submitted).delay_told_at == now + LATER
    assert not MailboxEntry.objects.get(message=submitted.message, side=Side.SENDER).is_read
    assert Event.objects.filter(kind="message.told_delayed").count() == 1


def test_what_was_scheduled_is_not_late(house: House) -> None:
    now = timezone.now()
    send(house.as_alice, ELENA, send_at=now + timedelta(hours=6))
    assert tell_senders(now + LATER) == 0
    assert tell_senders(now + timedelta(hours=9)) == 0
    Delivery.objects.update(state=DeliveryState.QUEUED)
    assert tell_senders(now + timedelta(hours=9)) == 0
    assert tell_senders(now + timedelta(hours=11)) == 1


def test_an_organisation_decides_how_much_it_bears(house: House, stranger: House) -> None:
    SendingPolicy.objects.create(organisation=house.organisation, delay_told_after=timedelta(minutes=30))
    ours = send(house.as_alice, ELENA)
    send(stranger.as_alice, ELENA, sender="support@stranger.test")
    assert tell_senders(timezone.now() + timedelta(minutes=31)) == 1
    assert DeliveryNotice.objects.get().message_id == ours.message.pk


def test_many_failures_of_one_mail_are_one_line(house: House, relay: RemoteServer) -> None:
    relay.play(Phase.RCPT, refuse())
    relay.play(Phase.RCPT, refuse(550, "5.1.1 nobody"), recipient="customer0@x.example")
    recipients = [f"customer{n}@x.example" for n in range(20)]
    submitted = send(house.as_alice, *recipients)
    drain()
    assert tell_senders() == 20
    notice = DeliveryNotice.objects.get(message=submitted.message)
    assert (notice.kind, notice.recipients) == (NoticeKind.FAILED, 20)
    assert "and 19 others" in sentence_of(notice, timezone.now())
    assert Event.objects.filter(kind="message.told_failed").count() == 1


def test_one_that_fails_again_after_another_try_is_told_again(house: House, relay: RemoteServer) -> None:
    relay.play(Phase.RCPT, refuse())
    submitted = send(house.as_alice, ELENA)
    drain()
    assert tell_senders() == 1
    MailboxEntry.objects.update(is_read=True)
    retry_message(house.as_alice, submitted.message, timezone.now())
    drain()
    assert tell_senders() == 1
    assert DeliveryNotice.objects.get().recipients == 1
    assert not MailboxEntry.objects.get(message=submitted.message, side=Side.SENDER).is_read


def test_what_was_sent_or_taken_back_is_nothing_to_tell(house: House, relay: RemoteServer) -> None:
    send(house.as_alice, ELENA)
    drain()
    assert tell_senders(timezone.now() + LATER) == 0
    assert not DeliveryNotice.objects.exists()


def test_an_address_that_nobody_has_is_told_of(house: House) -> None:
    send(house.as_alice, "nobody@house.test")
    assert tell_senders() == 1
    assert "There is no nobody@house.test here" in sentence_of(DeliveryNotice.objects.get(), timezone.now())


def refused_times(house: House, times: int) -> None:
    for _ in range(times):
        send(house.as_alice, ELENA)
        drain()
        tell_senders()


def test_an_address_that_its_server_refuses_three_times_is_suppressed(
    house: House, relay: RemoteServer
) -> None:
    relay.play(Phase.RCPT, refuse())
    refused_times(house, 2)
    assert not Suppression.objects.exists()
    refused_times(house, 1)
    suppression = Suppression.objects.get()
    assert (suppression.address, suppression.reason) == (ELENA, "hard_bounce")
    assert "no such user" in suppression.evidence
    assert only_delivery(send(house.as_alice, ELENA)).state == DeliveryState.SUPPRESSED


def test_a_server_that_dislikes_us_suppresses_nobody(house: House, relay: RemoteServer) -> None:
    relay.play(Phase.RCPT, refuse(550, "5.7.1 blocked using zen.spamhaus.example"))
    refused_times(house, 4)
    assert not Suppression.objects.exists()


def test_who_is_suppressed_is_not_tried_again_until_that_is_lifted(house: House) -> None:
    row = add_suppression(house.as_key, ELENA, now=timezone.now())
    delivery = only_delivery(send(house.as_alice, ELENA))
    with pytest.raises(NotRetryable, match="Remove the suppression"):
        resubmit_delivery(house.as_alice, delivery, timezone.now())
    remove_suppression(house.as_key, row, now=timezone.now())
    resubmit_delivery(house.as_alice, delivery, timezone.now())
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.QUEUED
