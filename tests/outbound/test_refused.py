"""What is refused is kept whole, once, for those who may know of it, until it is mended, discarded or too old."""

import base64
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.principal import Principal
from apps.accounts.services import create_api_key
from apps.blobs.errors import ObjectStoreUnavailable
from apps.events.models import Event
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Message
from apps.outbound.errors import NotRetryable, SubmissionInvalid
from apps.outbound.models import RefusedSubmission
from apps.outbound.selectors import refused_by_id, refused_for
from apps.outbound.submission import refused as refused_module
from apps.outbound.submission.refused import (
    asked_again,
    corrected,
    discard_refused,
    forget_old_refusals,
    kept_files,
    restore_refused,
)
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.outbound.submission.submit import SubmittedAttachment
from apps.tickets.models import Ticket
from tests.arrivals import arrive
from tests.outbound.sending import send
from tests.people import House
from tests.servers import Servers


def refuse(principal: Principal, *to: str, **fields: Any) -> RefusedSubmission:
    with pytest.raises(SubmissionInvalid) as error:
        send(principal, *(to or ("no address",)), **fields)
    assert error.value.kept_as is not None
    return RefusedSubmission.objects.get(pk=error.value.kept_as)


def test_everything_that_was_asked_is_kept(house: House) -> None:
    kept = refuse(
        house.as_alice,
        "elena@x.example",
        "not an address",
        bcc=("boss@x.example",),
        headers=(("X-Order", "7"),),
        html="<p>\ud800 half a character</p>",
        attachments=(SubmittedAttachment("a.bin", "application/x-thing", b"\x00\xff", ""),),
        metadata={"order": 7},
        hold_seconds=10,
    )
    assert (kept.cause, kept.field) == ("address_invalid", "to[1]")
    assert (kept.subject, kept.recipient, kept.recipients) == ("Your invoice", "elena@x.example", 3)
    assert (kept.mailbox, kept.user, kept.actor) == (house.support, house.alice, house.as_alice.actor)
    body = asked_again(kept)
    assert body["to"] == ["elena@x.example", "not an address"]
    assert body["bcc"] == ["boss@x.example"]
    assert body["html"] == "<p>\ud800 half a character</p>"
    assert (body["headers"], body["metadata"], body["hold_seconds"]) == ({"X-Order": "7"}, {"order": 7}, 10)
    assert base64.b64decode(body["attachments"][0]["content"]) == b"\x00\xff"
    assert [(one.filename, one.size_bytes) for one in kept_files(kept)] == [("a.bin", 2)]
    assert not Message.objects.exists()
    event = Event.objects.get(kind="submission.refused")
    assert "x.example" not in str(event.data)


def test_all_that_is_wrong_is_told_at_once(house: House) -> None:
    with pytest.raises(SubmissionInvalid) as error:
        send(
            house.as_key,
            "nonsense",
            "elena@x.example",
            sender="boss@elsewhere.example",
            cc=("also@@wrong",),
            headers=(("Received", "by mx"), ("X-A", "b\r\nc")),
            priority="yesterday",
            in_reply_to="no such thing",
        )
    assert [(one.field, one.fault) for one in error.value.faults] == [
        ("in_reply_to", "unknown_message"),
        ("from", "sender_not_yours"),
        ("to[0]", "address_invalid"),
        ("cc[0]", "address_invalid"),
        ("headers.Received", "header_reserved"),
        ("headers.X-A", "header_invalid"),
        ("priority", "invalid"),
    ]
    assert len(RefusedSubmission.objects.get().faults) == 7


def test_a_thousand_wrong_recipients_are_told_by_the_first(house: House) -> None:
    with pytest.raises(SubmissionInvalid) as error:
        send(house.as_key, *(f"wrong {n}" for n in range(1000)))
    assert len(error.value.faults) == 50


def test_the_same_refusal_a_thousand_times_is_one_row(house: House) -> None:
    first = refuse(house.as_key)
    later = [refuse(house.as_key) for _ in range(4)]
    assert {one.pk for one in later} == {first.pk}
    assert later[-1].times == 5
    other_key, _secret = create_api_key(house.organisation, name="other", role=Role.ADMIN)
    assert refuse(Principal.of_key(other_key)).pk != first.pk
    assert refuse(house.as_key, text="another text").pk != first.pk


def test_one_draft_corrected_field_by_field_is_one_row_and_gone_when_it_is_sent(house: House) -> None:
    first = refuse(house.as_alice, "nonsense", key="draft")
    second = refuse(house.as_alice, "elena@x.example", key="draft", priority="yesterday")
    assert (second.pk, second.field, second.times) == (first.pk, "priority", 2)
    submitted = send(house.as_alice, "elena@x.example", key="draft")
    second.refresh_from_db()
    assert (second.message, second.is_open) == (submitted.message, False)
    assert not refused_for(house.as_alice).exists()


def test_somebody_elses_draft_of_the_same_key_stays(house: House) -> None:
    kept = refuse(house.as_bob, key="draft")
    send(house.as_alice, "elena@x.example", key="draft")
    kept.refresh_from_db()
    assert kept.is_open


def test_who_may_know_of_a_refusal(house: House, stranger: House) -> None:
    shared = refuse(house.as_alice)
    private = refuse(house.as_alice, sender="alice@house.test")
    nobodys = refuse(house.as_alice, sender="made up")

    def seen_by(principal: Principal) -> set[RefusedSubmission]:
        return set(refused_for(principal))

    assert seen_by(house.as_alice) == {shared, private, nobodys}
    assert seen_by(house.as_bob) == {shared}
    assert seen_by(house.as_key) == {shared, private, nobodys}
    assert seen_by(stranger.as_key) == set()
    with pytest.raises(NotVisible):
        refused_by_id(house.as_bob, private.pk)
    with pytest.raises(NotVisible):
        refused_by_id(stranger.as_key, shared.pk)


def test_what_was_kept_is_sent_once_however_many_press_the_button(house: House) -> None:
    kept = refuse(house.as_key)
    submitted = send(house.as_key, "elena@x.example", mends=kept)
    kept.refresh_from_db()
    assert kept.message == submitted.message
    with pytest.raises(NotRetryable):
        send(house.as_key, "elena@x.example", mends=kept)
    assert Message.objects.count() == 1


def test_a_correction_that_is_wrong_again_replaces_what_was_kept(house: House) -> None:
    kept = refuse(house.as_key)
    again = refuse(house.as_key, "still no address", mends=kept, text="A better text")
    assert again.pk == kept.pk
    assert asked_again(again)["text"] == "A better text"
    assert RefusedSubmission.objects.count() == 1


def test_corrections_replace_fields_and_null_takes_one_away() -> None:
    asked = {"to": ["wrong"], "sendat": "tomorrow", "text": "Hello"}
    assert corrected(asked, {"to": ["a@x.example"], "sendat": None}) == {
        "to": ["a@x.example"],
        "text": "Hello",
    }


def test_a_refused_answer_keeps_its_ticket(house: House) -> None:
    arrive(house.support)
    ticket = Ticket.objects.get()
    reply = Reply(text="It is mended.", to=("nonsense",), state="solved")
    with pytest.raises(SubmissionInvalid):
        reply_to_ticket(house.as_alice, ticket, reply, idempotency_key=None, now=timezone.now())
    kept = RefusedSubmission.objects.get()
    assert kept.ticket == ticket
    assert asked_again(kept) == {"to": ["nonsense"], "text": "It is mended.", "state": "solved"}


def test_a_discarded_one_is_gone_and_can_be_brought_back(house: House) -> None:
    kept = refuse(house.as_alice)
    discard_refused(house.as_alice, kept, timezone.now())
    assert not refused_for(house.as_alice).exists()
    with pytest.raises(NotRetryable):
        discard_refused(house.as_alice, kept, timezone.now())
    restore_refused(house.as_alice, kept)
    assert list(refused_for(house.as_alice)) == [kept]
    with pytest.raises(NotRetryable):
        restore_refused(house.as_alice, kept)


def test_an_organisations_oldest_give_way(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_module, "MAX_KEPT", 3)
    kept = [refuse(house.as_key, text=str(n)) for n in range(5)]
    assert set(refused_for(house.as_key)) == set(kept[2:])


def test_after_thirty_days_they_are_forgotten(house: House) -> None:
    kept = refuse(house.as_key)
    assert forget_old_refusals(timezone.now() + timedelta(days=29)) == 0
    assert forget_old_refusals(timezone.now() + timedelta(days=31)) > 0
    assert not RefusedSubmission.objects.filter(pk=kept.pk).exists()


def test_a_large_file_that_cannot_be_kept_is_asked_for_again(house: House, servers: Servers) -> None:
    servers.s3.stop()
    large = SubmittedAttachment("a.bin", "application/octet-stream", b"x" * 300_000)
    with pytest.raises(ObjectStoreUnavailable):
        send(house.as_key, "nonsense", attachments=(large,))
    assert refuse(house.as_key).is_open


@pytest.mark.django_db(transaction=True)
def test_the_same_refusal_eight_times_at_once_is_one_row(house: House) -> None:
    start = threading.Barrier(8)

    def request() -> None:
        start.wait()
        try:
            with pytest.raises(SubmissionInvalid):
                send(house.as_key, "nonsense")
        finally:
            connection.close()

    threads = [threading.Thread(target=request) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert RefusedSubmission.objects.get().times == 8
