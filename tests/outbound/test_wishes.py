"""What the sender wished while a mail waits: none after an answer, another time, another relay, a way out."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.events.services import sequence_committed
from apps.mailboxes.models import Folder, MailboxEntry, Message, Side
from apps.mailboxes.selectors import raw_of
from apps.mime.compose import Unsubscribe
from apps.outbound.causes import Cause
from apps.outbound.delivery import claim_due
from apps.outbound.errors import NotCancellable, NotRetryable, SubmissionInvalid
from apps.outbound.models import Delivery, DeliveryAttempt, DeliveryState, Lane, Relay
from apps.outbound.relays.environment import reconcile_relays
from apps.outbound.services import (
    cancel_delivery,
    cancel_waiting,
    readdress_delivery,
    reschedule_message,
    retry_message,
    retry_waiting,
)
from apps.outbound.submission.submit import Submitted
from apps.outbound.submission.wishes import cancel_what_was_answered, replied_meanwhile
from tests.arrivals import arrive
from tests.outbound.sending import drain, only_delivery, send
from tests.people import House
from tests.remote.script import Phase, refuse
from tests.remote.server import RemoteServer


def later(house: House, *to: str, **fields: Any) -> Submitted:
    at = timezone.now() + timedelta(hours=1)
    fields = {"send_at": at, "cancel_if_replied": True, **fields}
    return send(house.as_key, *(to or ("elena@customer.example",)), **fields)


def answer(house: House, submitted: Submitted, headers: dict[str, str] | None = None) -> Message:
    refers = {"In-Reply-To": f"<{submitted.message.rfc_message_id}>"}
    return arrive(house.support, headers=refers | (headers or {}), message_id="answer@customer.example")


def let_it_be_due() -> None:
    Delivery.objects.filter(state=DeliveryState.SCHEDULED).update(due_at=timezone.now())


def senders_folder(message: Message) -> str:
    return MailboxEntry.objects.get(message=message, side=Side.SENDER).folder


# not after an answer


def test_an_answer_cancels_what_waits_at_the_claim(house: House, relay: RemoteServer) -> None:
    submitted = later(house)
    answer(house, submitted)
    let_it_be_due()
    drain()
    delivery = only_delivery(submitted)
    assert (delivery.state, delivery.cause) == (DeliveryState.CANCELLED, Cause.REPLIED)
    assert relay.messages == []
    assert not DeliveryAttempt.objects.exists()
    sequence_committed()
    cancel_what_was_answered()
    assert senders_folder(submitted.message) == Folder.TRASH


def test_an_answer_cancels_what_waits_when_it_comes(house: House) -> None:
    submitted = later(house)
    kept = later(house, cancel_if_replied=False)
    answer(house, submitted)
    sequence_committed()
    assert cancel_what_was_answered() > 0
    delivery = only_delivery(submitted)
    assert (delivery.state, delivery.cause) == (DeliveryState.CANCELLED, Cause.REPLIED)
    assert only_delivery(kept).state == DeliveryState.SCHEDULED
    assert senders_folder(submitted.message) == Folder.TRASH
    assert cancel_what_was_answered() == 0, "what was read is not read again"


def test_only_those_who_wished_it_are_cancelled(house: House, relay: RemoteServer) -> None:
    submitted = later(house, cancel_if_replied=False)
    answer(house, submitted)
    let_it_be_due()
    drain()
    assert only_delivery(submitted).state == DeliveryState.SENT


@pytest.mark.parametrize(
    "headers", [{"Auto-Submitted": "auto-replied"}, {"List-Id": "<all.customer.example>"}], ids=str
)
def test_no_program_answers_for_a_person(house: House, headers: dict[str, str]) -> None:
    submitted = later(house)
    answer(house, submitted, headers)
    assert replied_meanwhile([only_delivery(submitted).pk]) == set()


def test_what_was_said_before_is_no_answer(house: House) -> None:
    question = arrive(house.support)
    submitted = later(house, in_reply_to=str(question.pk))
    assert replied_meanwhile([only_delivery(submitted).pk]) == set()


def test_a_colleagues_own_mail_in_the_conversation_is_no_answer_but_a_recipients_is(house: House) -> None:
    submitted = later(house, "alice@house.test", sender="bob@house.test")
    delivery = only_delivery(submitted)
    send(house.as_key, "bob@house.test", sender="support@house.test", in_reply_to=str(submitted.message.pk))
    assert replied_meanwhile([delivery.pk]) == set()
    send(house.as_key, "bob@house.test", sender="alice@house.test", in_reply_to=str(submitted.message.pk))
    assert replied_meanwhile([delivery.pk]) == {delivery.pk}


# at another time


def test_what_is_scheduled_can_be_put_to_another_time_or_sent_now(house: House) -> None:
    submitted = later(house)
    at = timezone.now() + timedelta(days=3)
    assert reschedule_message(house.as_key, submitted.message, at, timezone.now()) == 1
    delivery = only_delivery(submitted)
    assert (delivery.state, delivery.due_at) == (DeliveryState.SCHEDULED, at)
    assert delivery.expires_at == at + timedelta(days=5)
    with pytest.raises(SubmissionInvalid, match="passed"):
        reschedule_message(
            house.as_key, submitted.message, timezone.now() - timedelta(days=1), timezone.now()
        )
    reschedule_message(house.as_key, submitted.message, None, timezone.now())
    assert only_delivery(submitted).state == DeliveryState.QUEUED
    with pytest.raises(NotRetryable):
        reschedule_message(house.as_key, submitted.message, at, timezone.now())


# one recipient, or a whole cause


def defer_all(cause: Cause) -> None:
    Delivery.objects.filter(state=DeliveryState.QUEUED).update(
        state=DeliveryState.DEFERRED, cause=cause, due_at=timezone.now() + timedelta(hours=1)
    )


def test_one_recipient_is_taken_back_and_the_others_go_on(house: House) -> None:
    submitted = send(house.as_key, "a@x.example", "b@x.example")
    first, second = submitted.deliveries
    cancel_delivery(house.as_key, first, timezone.now())
    assert sorted(Delivery.objects.values_list("state", flat=True)) == ["cancelled", "queued"]
    assert senders_folder(submitted.message) == Folder.OUTBOX
    with pytest.raises(NotCancellable):
        cancel_delivery(house.as_key, first, timezone.now())
    cancel_delivery(house.as_key, second, timezone.now())
    assert senders_folder(submitted.message) == Folder.TRASH


def test_a_whole_cause_is_hurried_or_taken_back(house: House, stranger: House) -> None:
    send(house.as_key, "a@x.example", "b@x.example")
    send(stranger.as_key, "c@x.example", sender="support@stranger.test")
    defer_all(Cause.RELAY_UNAVAILABLE)
    send(house.as_key, "d@x.example")
    assert retry_waiting(house.as_key, "recipient_unavailable", timezone.now()) == 0
    assert retry_waiting(house.as_key, "relay_unavailable", timezone.now()) == 2
    assert Delivery.objects.get(state=DeliveryState.DEFERRED).recipient == "c@x.example"
    assert cancel_waiting(house.as_key, "requested", timezone.now()) == 2
    assert Delivery.objects.filter(state=DeliveryState.CANCELLED).count() == 2


# another relay


def test_a_person_sends_what_waits_over_another_relay(house: House, relay: RemoteServer) -> None:
    with RemoteServer() as second:
        reconcile_relays([f"{relay.url}?tls=none", f"{second.url}?tls=none"])
        submitted = send(house.as_key, "elena@x.example")
        defer_all(Cause.RELAY_UNAVAILABLE)
        other = Relay.objects.get(port=second.port)
        retry_message(house.as_key, submitted.message, timezone.now(), relay_id=other.pk)
        delivery = only_delivery(submitted)
        assert (delivery.state, delivery.pinned_relay) == (DeliveryState.QUEUED, other)
        drain()
        assert (relay.connections, second.taken_by_recipient) == (0, {"elena@x.example": 1})


def test_a_relay_that_is_none_is_told_by_its_field(house: House) -> None:
    submitted = send(house.as_key, "elena@x.example")
    with pytest.raises(SubmissionInvalid, match="relay"):
        retry_message(house.as_key, submitted.message, timezone.now(), relay_id="nonsense")


# another address


def test_a_failed_recipient_is_sent_to_a_corrected_address(house: House, relay: RemoteServer) -> None:
    relay.play(Phase.RCPT, refuse(), recipient="elenna@x.example")
    submitted = send(house.as_key, "elenna@x.example", "tomas@x.example")
    drain()
    failed = Delivery.objects.get(recipient="elenna@x.example")
    again = readdress_delivery(house.as_key, failed, "elena@x.example", timezone.now())
    drain()
    again.refresh_from_db()
    failed.refresh_from_db()
    assert (again.state, again.message) == (DeliveryState.SENT, submitted.message)
    assert (failed.state, failed.discarded_at is not None) == (DeliveryState.FAILED, True)
    assert relay.taken_by_recipient["tomas@x.example"] == 1
    with pytest.raises(NotRetryable):
        readdress_delivery(house.as_key, failed, "someone@x.example", timezone.now())


@pytest.mark.parametrize("address", ["nonsense", "nobody@house.test", "TOMAS@x.example"])
def test_a_correction_must_be_another_address_that_exists(
    house: House, relay: RemoteServer, address: str
) -> None:
    relay.play(Phase.RCPT, refuse(), recipient="elenna@x.example")
    send(house.as_key, "elenna@x.example", "tomas@x.example")
    drain()
    failed = Delivery.objects.get(recipient="elenna@x.example")
    with pytest.raises(SubmissionInvalid, match="recipient"):
        readdress_delivery(house.as_key, failed, address, timezone.now())
    assert Delivery.objects.count() == 2


# lanes


def test_a_thousand_bulk_recipients_never_delay_an_answer(house: House, relay: RemoteServer) -> None:
    bulk = send(house.as_key, *(f"b{n}@x.example" for n in range(1000)), priority="bulk")
    prompt = send(house.as_key, "elena@customer.example")
    assert {one.lane for one in bulk.deliveries} == {Lane.BULK}
    claimed = claim_due(Lane.INTERACTIVE, limit=50)
    assert [one.delivery_id for one in claimed] == [one.pk for one in prompt.deliveries]


# a way out


def test_one_click_unsubscribing_is_written_where_it_is_asked_for(house: House) -> None:
    way = Unsubscribe("https://house.test/u/7?k=a", "leave@house.test?subject=7")
    raw = raw_of(send(house.as_key, "elena@x.example", unsubscribe=way).message)
    head = raw.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
    assert b"List-Unsubscribe: <https://house.test/u/7?k=a>, <mailto:leave@house.test?subject=7>" in head
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in head


def test_without_https_there_is_no_one_click(house: House) -> None:
    raw = raw_of(
        send(house.as_key, "e@x.example", unsubscribe=Unsubscribe(mailto="leave@house.test")).message
    )
    assert b"List-Unsubscribe: <mailto:leave@house.test>\r\n" in raw
    assert b"List-Unsubscribe-Post" not in raw


@pytest.mark.parametrize(
    ("field", "way"),
    [
        ("list_unsubscribe", Unsubscribe()),
        ("list_unsubscribe.url", Unsubscribe("http://house.test/u")),
        ("list_unsubscribe.url", Unsubscribe("https://")),
        ("list_unsubscribe.url", Unsubscribe("https://house.test/a,b")),
        ("list_unsubscribe.url", Unsubscribe("https://house.test/>\r\nBcc: evil@x.example")),
        ("list_unsubscribe.url", Unsubscribe("https://user:secret@house.test/u")),
        ("list_unsubscribe.mailto", Unsubscribe(mailto="nonsense")),
        ("list_unsubscribe.mailto", Unsubscribe(mailto="a@x.example?x=>,<")),
    ],
)
def test_a_way_out_that_leads_nowhere_is_refused(house: House, field: str, way: Unsubscribe) -> None:
    with pytest.raises(SubmissionInvalid) as refused:
        send(house.as_key, "elena@x.example", unsubscribe=way)
    assert refused.value.field == field


def test_two_ways_out_contradict_each_other(house: House) -> None:
    with pytest.raises(SubmissionInvalid, match=r"headers\.List-Unsubscribe: .*twice"):
        send(
            house.as_key,
            "elena@x.example",
            unsubscribe=Unsubscribe("https://house.test/u"),
            headers=(("List-Unsubscribe", "<mailto:x@house.test>"),),
        )
