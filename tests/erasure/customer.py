"""A customer with a past: mail of theirs, and to them, in every place where the product keeps any."""

from collections.abc import Sequence

import pytest
from django.utils import timezone

from apps.blobs.models import Blob
from apps.blobs.offloading import offload
from apps.blobs.thumbnails import thumbnail_of
from apps.inbound.ingest import ingest_due
from apps.inbound.models import ReceivedMessage, ReceivedState
from apps.inbound.receiving import Envelope, accept_message
from apps.mailboxes.models import Message
from apps.outbound.bounces.suppressions import suppress
from apps.outbound.errors import SubmissionInvalid
from apps.outbound.models import Delivery, DeliveryAttempt, DeliveryState, SuppressionReason
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.outbound.submission.submit import SubmittedAttachment
from apps.tickets.models import HeldMessage, Ticket
from apps.tickets.services import add_note
from apps.tickets.trust import trust_sender
from tests.automation.acknowledging import acknowledge_all, switch_on
from tests.bounced import came_back
from tests.mail import raw_mail
from tests.outbound.sending import send
from tests.people import House
from tests.pictures import picture
from tests.webmail.test_files import mail_with

ELENA = "elena@customer.example"
MARK = "Quagga"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def receive(
    house: House, raw: bytes, sender: str = ELENA, to: Sequence[str] = ("support@house.test",)
) -> None:
    """Through custody and ingest, as the listener takes it."""
    envelope = Envelope(sender, {house.organisation.pk: tuple(to)}, "192.0.2.7", "mail.customer.example")
    accept_message(envelope, raw, now=timezone.now())
    ingest_due(limit=10, seconds=60)
    assert not ReceivedMessage.objects.exclude(state__in=[ReceivedState.FILED, ReceivedState.HELD]).exists()


def write_and_be_answered(house: House) -> Ticket:
    """Two mails, one of them long and with files; an acknowledgement; an answer that came back; a note."""
    switch_on(house)
    files = {
        "photo.png": ("image/png", picture()),
        f"{MARK}.txt": ("text/plain", f"The {MARK} list".encode() * 30_000),
    }
    receive(house, mail_with(files, f"About the {MARK}"))
    long = raw_mail(
        subject=f"More on the {MARK}", text=f"{MARK} {ELENA}\r\n" * 2000, message_id="second@customer.example"
    )
    receive(house, long)
    acknowledge_all()
    ticket = Ticket.objects.get(subject=f"About the {MARK}")
    photo = Message.objects.get(subject=f"About the {MARK}", direction="in").parts.get(filename="photo.png")
    assert thumbnail_of(photo.blob).image is not None
    reply = Reply(
        text=f"Dear Elena,\n\nthe {MARK} is here.\n\n> {ELENA} wrote: {MARK}",
        attachments=(SubmittedAttachment("receipt.txt", "text/plain", f"{MARK} receipt".encode()),),
    )
    answer = reply_to_ticket(house.as_alice, ticket, reply, idempotency_key="one", now=timezone.now())
    add_note(house.as_alice, ticket, f"Elena ({ELENA}) is nice.", now=timezone.now())
    delivery = answer.deliveries[0]
    DeliveryAttempt.objects.create(
        delivery=delivery,
        number=1,
        token=delivery.pk,
        started_at=timezone.now(),
        text=f"550 5.1.1 <{ELENA.upper()}>: no such user",
    )
    came_back(house, delivery)
    return ticket


def leave_traces(house: House) -> None:
    """What was held, refused, suppressed and trusted, and mail that is not theirs alone."""
    receive(
        house, raw_mail(subject=f"{MARK} offers", text=f"{MARK} {GTUBE}", message_id="held@customer.example")
    )
    assert HeldMessage.objects.filter(sender_address=ELENA).exists()
    with pytest.raises(SubmissionInvalid):
        send(house.as_alice, ELENA, cc=("no address at all",), text=MARK, subject=MARK)
    suppress(
        house.organisation.pk,
        ELENA,
        SuppressionReason.UNSUBSCRIBED,
        now=timezone.now(),
        evidence=f"<{ELENA}> asked for it",
    )
    trust_sender(house.as_key, ELENA, now=timezone.now())


def be_mentioned(house: House) -> None:
    """Mail that others wrote or got too. It stays."""
    receive(
        house,
        raw_mail(
            sender="Ben <ben@customer.example>",
            to=f"support@house.test, Elena {MARK} <{ELENA}>",
            subject="Our order",
            text="Please answer Elena@Customer.Example too.\r\n",
            message_id="ben@customer.example",
        ),
        sender="ben@customer.example",
    )
    submitted = send(house.as_alice, ELENA, cc=("carla@slow.example",), subject="To both of you")
    Delivery.objects.filter(message=submitted.message).update(
        state=DeliveryState.SENT, due_at=None, reason=f"250 Ok <{ELENA}>", finished_at=timezone.now()
    )


def everything_rests() -> list[object]:
    """Move the spool to S3; the ids of all contents there are."""
    while offload():
        pass
    return list(Blob.objects.values_list("pk", flat=True))
