"""What several threads have ready at the same time shares a transaction."""

import uuid

import pytest

from apps.inbound.claims import claim_due
from apps.inbound.errors import LeaseLost
from apps.inbound.ingest import Ready, file_all, filing, ingest_claim
from apps.inbound.models import ReceivedMessage, ReceivedState
from apps.mailboxes.models import Message
from apps.tickets.models import Ticket
from tests.inbound.test_ingest import receive
from tests.mail import raw_mail
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)


def filed_together(house: House, *mails: bytes, lost: int | None = None) -> list[ReceivedMessage]:
    """Rows whose mails threads had ready at the same time; `lost` is the one whose lease is another's by then."""
    rows = [receive(house, mail) for mail in mails]
    ready: list[Ready] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filing, "entrust", lambda one, _then: ready.append(one))
        for claim in claim_due(len(rows)):
            ingest_claim(claim)
    if lost is not None:
        ReceivedMessage.objects.filter(pk=rows[lost].pk).update(lease_token=uuid.uuid4())
    file_all(ready)
    return list(ReceivedMessage.objects.order_by("received_at"))


def test_a_mail_and_its_answer_filed_together_are_one_ticket(house: House) -> None:
    answer = raw_mail(message_id="2@customer.example", headers={"In-Reply-To": "<1@customer.example>"})
    rows = filed_together(
        house, raw_mail(message_id="1@customer.example"), answer, raw_mail(message_id="3@customer.example")
    )
    assert [row.state for row in rows] == [ReceivedState.FILED] * 3
    first, second, third = (Message.objects.get(pk=str(row.message_id)) for row in rows)
    assert first.thread_id == second.thread_id != third.thread_id
    assert sorted(Ticket.objects.values_list("number", "thread_id")) == [
        (1, first.thread_id),
        (2, third.thread_id),
    ]


def test_of_mails_filed_together_all_are_or_none(house: House) -> None:
    mails = [raw_mail(message_id=f"{n}@customer.example") for n in range(3)]
    with pytest.raises(LeaseLost):
        filed_together(house, *mails, lost=1)
    assert not Message.objects.exists()
    assert {row.state for row in ReceivedMessage.objects.all()} == {ReceivedState.INGESTING}
