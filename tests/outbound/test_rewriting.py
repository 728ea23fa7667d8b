"""What was refused for what it says is written anew: as a submission of the error queue, with nothing lost."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.errors import AdminsOnly
from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Folder, MailboxEntry, Side
from apps.mime.compose import Unsubscribe
from apps.outbound.bounces.suppressions import add_suppression, suppressions_for
from apps.outbound.causes import Cause
from apps.outbound.errors import NotRetryable
from apps.outbound.models import Delivery, DeliveryState, RefusedSubmission
from apps.outbound.remedies import Remedy, remedies_for
from apps.outbound.selectors import errors_for, refused_for
from apps.outbound.services import (
    cancel_delivery,
    cancel_message,
    resubmit_delivery,
    resubmit_unsuppressed,
    rewrite_delivery,
)
from apps.outbound.submission.refused import asked_again, keep_refused, kept_files
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.outbound.submission.submit import Submitted, SubmittedAttachment
from apps.tickets.models import Ticket
from tests.arrivals import arrive
from tests.outbound.sending import only_delivery, send
from tests.people import House

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
FORBIDDEN = SubmittedAttachment("invoice.pdf.exe", "application/octet-stream", b"MZ")
PLAN = SubmittedAttachment("plan.txt", "text/plain", b"Two keys.\n")


def rejected(submitted: Submitted, cause: str = Cause.POLICY_ATTACHMENT) -> list[Delivery]:
    """As a scanner's verdict leaves them."""
    Delivery.objects.filter(message=submitted.message).update(
        state=DeliveryState.REJECTED,
        cause=cause,
        reason="“invoice.pdf.exe” runs",
        due_at=None,
        finished_at=NOW,
    )
    return list(Delivery.objects.filter(message=submitted.message).order_by("pk"))


def remedy(principal: Principal, delivery: Delivery) -> Remedy:
    return remedies_for(principal.organisation_id, [delivery], timezone.now())[delivery.pk]


def test_all_that_was_written_stands_in_the_error_queue_as_one_submission(house: House) -> None:
    submitted = send(
        house.as_alice,
        '"Ruiz, Elena" <elena@x.example>',
        "tomas@x.example",
        cc=("cc@x.example",),
        bcc=("boss@x.example",),
        reply_to=("Alice <alice@house.test>",),
        headers=(("X-Order", "Größe 7"), ("List-Id", "<guests.house.test>")),
        attachments=(PLAN, FORBIDDEN),
        unsubscribe=Unsubscribe("https://house.test/u?x=1", "leave@house.test"),
        tags=("order",),
        metadata={"order": 7},
        priority="bulk",
        cancel_if_replied=True,
    )
    first, *_others = rejected(submitted)
    assert remedy(house.as_alice, first) == Remedy.REWRITE
    refused = rewrite_delivery(house.as_alice, first, NOW)
    asked = asked_again(refused)
    assert asked.pop("attachments")[0]["content"] == "VHdvIGtleXMuCg=="
    assert asked == {
        "from": "House Support <support@house.test>",
        "to": ['"Ruiz, Elena" <elena@x.example>', "tomas@x.example"],
        "cc": ["cc@x.example"],
        "bcc": ["boss@x.example"],
        "reply_to": ["Alice <alice@house.test>"],
        "subject": "Your invoice",
        "text": "Hello Elena,\nit is mended.",
        "headers": {"X-Order": "Größe 7", "List-Id": "<guests.house.test>"},
        "list_unsubscribe": {"url": "https://house.test/u?x=1", "mailto": "leave@house.test"},
        "tags": ["order"],
        "metadata": {"order": 7},
        "priority": "bulk",
        "cancel_if_replied": True,
    }
    assert (refused.cause, refused.field, refused.recipients) == ("policy_attachment", "attachments", 4)
    assert [file.filename for file in kept_files(refused)] == ["plan.txt", "invoice.pdf.exe"]
    assert list(refused_for(house.as_bob)) == [refused]
    assert not errors_for(house.as_alice).exists()
    assert MailboxEntry.objects.get(message=submitted.message, side=Side.SENDER).folder == Folder.TRASH


def test_what_is_mended_and_taken_back_is_there_again(house: House) -> None:
    [failed] = rejected(send(house.as_alice, "elena@x.example", attachments=(FORBIDDEN,)))
    refused = rewrite_delivery(house.as_alice, failed, NOW)
    again = send(house.as_alice, "elena@x.example", mends=refused, hold_seconds=10)
    assert not refused_for(house.as_alice).exists()
    cancel_message(house.as_alice, again.message, timezone.now())
    assert list(refused_for(house.as_alice)) == [refused]


def test_only_those_it_was_refused_to_get_it_again(house: House) -> None:
    submitted = send(house.as_alice, "elena@x.example", "tomas@x.example", "rosa@x.example")
    sent, failed, other = Delivery.objects.filter(message=submitted.message).order_by("recipient")
    Delivery.objects.filter(pk=sent.pk).update(due_at=None, state=DeliveryState.SENT)
    Delivery.objects.filter(pk=failed.pk).update(
        due_at=None, state=DeliveryState.FAILED, cause=Cause.MESSAGE_REFUSED
    )
    Delivery.objects.filter(pk=other.pk).update(
        due_at=None, state=DeliveryState.FAILED, cause=Cause.RECIPIENT_REFUSED
    )
    failed.refresh_from_db()
    refused = rewrite_delivery(house.as_alice, failed, NOW)
    assert asked_again(refused)["to"] == [failed.recipient]
    assert list(errors_for(house.as_alice)) == [other]
    assert MailboxEntry.objects.get(message=submitted.message, side=Side.SENDER).folder == Folder.OUTBOX


def test_an_answer_to_a_ticket_is_one_again(house: House) -> None:
    arrive(house.support)
    ticket = Ticket.objects.get()
    reply = Reply(text="It is mended.", to=("elena@customer.example",), attachments=(FORBIDDEN,))
    submitted = reply_to_ticket(house.as_alice, ticket, reply, idempotency_key=None, now=timezone.now())
    [failed] = rejected(submitted)
    refused = rewrite_delivery(house.as_alice, failed, NOW)
    assert refused.ticket == ticket
    assert set(asked_again(refused)) == {"to", "text", "attachments"}
    assert list(refused_for(house.as_bob)) == [refused]


def test_html_and_what_is_no_fault_of_the_message_are_not_written_anew(house: House) -> None:
    [html] = rejected(send(house.as_alice, "elena@x.example", html="<p>Hello</p>"))
    assert remedy(house.as_alice, html) == Remedy.ELSEWHERE
    [bounced] = rejected(send(house.as_alice, "elena@x.example"), Cause.RECIPIENT_REFUSED)
    assert remedy(house.as_alice, bounced) == Remedy.READDRESS
    for failed in (html, bounced):
        with pytest.raises(NotRetryable):
            rewrite_delivery(house.as_alice, failed, NOW)
    assert not RefusedSubmission.objects.exists()


def test_it_is_written_anew_once_and_by_nobody_else(house: House, stranger: House) -> None:
    [failed] = rejected(send(house.as_alice, "elena@x.example"))
    with pytest.raises(NotVisible):
        rewrite_delivery(stranger.as_key, failed, NOW)
    rewrite_delivery(house.as_alice, failed, NOW)
    with pytest.raises(NotRetryable):
        rewrite_delivery(house.as_bob, failed, NOW)
    assert RefusedSubmission.objects.count() == 1


def test_what_another_sends_again_meanwhile_is_not_written_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look and the discard are two steps: whoever comes between them wins."""
    first, second = rejected(send(house.as_alice, "elena@x.example", "tomas@x.example"))

    def keep_slowly(*args: Any, **kwargs: Any) -> RefusedSubmission:
        resubmit_delivery(house.as_bob, second, timezone.now())
        return keep_refused(*args, **kwargs)

    monkeypatch.setattr("apps.outbound.submission.rewriting.keep_refused", keep_slowly)
    with pytest.raises(NotRetryable):
        rewrite_delivery(house.as_alice, first, NOW)
    assert not refused_for(house.as_alice).exists()
    assert list(errors_for(house.as_alice)) == [first]


# suppressions


def test_only_an_admin_sends_to_who_is_suppressed_and_the_suppression_is_gone(house: House) -> None:
    add_suppression(house.as_key, "elena@x.example", now=timezone.now())
    delivery = only_delivery(send(house.as_alice, "Elena@x.example"))
    assert remedy(house.as_alice, delivery) == Remedy.UNSUPPRESS
    with pytest.raises(AdminsOnly):
        resubmit_unsuppressed(house.as_alice, delivery, timezone.now())
    assert suppressions_for(house.as_key).exists()
    resubmit_unsuppressed(Principal.of_user(house.admin), delivery, timezone.now())
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.QUEUED
    assert not suppressions_for(house.as_key).exists()


def test_a_suppression_that_cannot_help_stays(house: House) -> None:
    add_suppression(house.as_key, "elena@x.example", now=timezone.now())
    delivery = only_delivery(send(house.as_key, "elena@x.example"))
    Delivery.objects.filter(pk=delivery.pk).update(due_at=None, state=DeliveryState.CANCELLED)
    with pytest.raises(NotRetryable):
        resubmit_unsuppressed(house.as_key, delivery, timezone.now())
    assert suppressions_for(house.as_key).exists()


def test_who_bounced_and_is_suppressed_since_is_not_tried_again_as_they_are(house: House) -> None:
    delivery = only_delivery(send(house.as_key, "elena@x.example"))
    Delivery.objects.filter(pk=delivery.pk).update(
        due_at=None, state=DeliveryState.BOUNCED, cause=Cause.BOUNCED
    )
    delivery.refresh_from_db()
    assert remedy(house.as_key, delivery) == Remedy.RETRY
    add_suppression(house.as_key, "elena@x.example", now=timezone.now())
    assert remedy(house.as_key, delivery) == Remedy.UNSUPPRESS
    with pytest.raises(NotRetryable, match="suppression"):
        resubmit_delivery(house.as_key, delivery, timezone.now())


def test_nobody_behind_an_address_asks_for_another_address(house: House) -> None:
    delivery = only_delivery(send(house.as_alice, "nobody@house.test"))
    assert remedy(house.as_alice, delivery) == Remedy.READDRESS


def test_the_only_recipient_taken_back_from_the_outbox_brings_what_was_mended_back(house: House) -> None:
    [failed] = rejected(send(house.as_alice, "elena@x.example"))
    refused = rewrite_delivery(house.as_alice, failed, NOW)
    again = only_delivery(send(house.as_alice, "elena@x.example", mends=refused, hold_seconds=10))
    cancel_delivery(house.as_alice, again, timezone.now())
    assert list(refused_for(house.as_alice)) == [refused]
