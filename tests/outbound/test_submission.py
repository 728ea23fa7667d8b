"""What a submission is checked for, what it makes, and what a repeated one makes."""

import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.principal import Principal
from apps.accounts.services import create_api_key
from apps.blobs.errors import ObjectStoreUnavailable
from apps.mailboxes.models import Folder, MailboxEntry, Message, Side
from apps.mailboxes.selectors import raw_of
from apps.mime.parse import parse
from apps.outbound.errors import IdempotencyConflict, SubmissionInvalid
from apps.outbound.models import Delivery, DeliveryState, IdempotencyKey, Lane
from apps.outbound.submission import validation
from apps.outbound.submission.idempotency import forget_old_keys
from apps.outbound.submission.submit import Submitted, SubmittedAttachment
from tests.outbound.sending import send
from tests.people import House
from tests.servers import Servers

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def attachment(**fields: Any) -> SubmittedAttachment:
    return SubmittedAttachment(
        **{"filename": "a.png", "content_type": "image/png", "content": b"png", "content_id": "", **fields}
    )


def test_a_submission_is_committed_with_one_delivery_for_each_recipient(house: House) -> None:
    submitted = send(
        house.as_key,
        "Elena <elena@x.example>",
        cc=("tomas@x.example", "ELENA@x.example"),
        bcc=("boss@x.example",),
        reply_to=("answers@x.example",),
        headers=(("X-Order", "20931"),),
        html="<p>It is <b>mended</b>.</p>",
        attachments=(
            attachment(),
            attachment(filename="../../etc/passwd\x00.txt", content_type="text/plain"),
        ),
        tags=("billing",),
        metadata={"order": 20931},
    )
    assert [(one.recipient, one.field, one.state) for one in submitted.deliveries] == [
        ("elena@x.example", "to", "queued"),
        ("tomas@x.example", "cc", "queued"),
        ("boss@x.example", "bcc", "queued"),
    ]
    message = Message.objects.get()
    assert message.bcc == [{"name": "", "address": "boss@x.example"}]
    assert (message.tags, message.metadata) == (["billing"], {"order": 20931})
    entry = MailboxEntry.objects.get()
    assert (entry.mailbox, entry.side, entry.folder, entry.is_read) == (
        house.support,
        Side.SENDER,
        Folder.OUTBOX,
        True,
    )
    raw = raw_of(message)
    assert b"boss@" not in raw
    assert b"X-Order: 20931\r\n" in raw
    parsed = parse(raw)
    assert (parsed.to[0].name, parsed.reply_to[0].address) == ("Elena", "answers@x.example")
    assert [part.filename for part in parsed.parts] == ["a.png", "passwd.txt"]
    assert parsed.message_id.endswith("@house.test")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("from", {"sender": "boss@x.example"}),
        ("from", {"sender": "nobody@house.test"}),
        ("from", {"sender": "a@house.test, b@house.test <support@house.test>"}),
        ("from", {"sender": ""}),
        ("to", {"to": ()}),
        ("to[1]", {"to": ("fine@x.example", "not an address")}),
        ("to[0]", {"to": ("a@x.example\r\nBcc: evil@x.example",)}),
        ("to[0]", {"to": ("A <a@x.example>, B <b@x.example>",)}),
        ("to[0]", {"to": ("x" * 2000 + "@x.example",)}),
        ("to[0]", {"to": ("\ud800@x.example",)}),
        ("cc[0]", {"cc": ("@",)}),
        ("bcc[0]", {"bcc": ("a@b@",)}),
        ("reply_to[0]", {"reply_to": ("nobody",)}),
        ("to", {"to": tuple(f"c{n}@x.example" for n in range(1001))}),
        ("headers.Bcc", {"headers": (("Bcc", "evil@x.example"),)}),
        ("headers.X-A", {"headers": (("X-A", "b\r\nBcc: evil@x.example"),)}),
        ("headers.X A", {"headers": (("X A", "b"),)}),
        ("headers", {"headers": tuple((f"X-{n}", "b") for n in range(101))}),
        ("attachments[1].content_type", {"attachments": (attachment(), attachment(content_type="png"))}),
        ("attachments[0].content_id", {"attachments": (attachment(content_id="a b"),)}),
        ("send_at", {"send_at": datetime(2020, 1, 1, tzinfo=UTC)}),
        ("send_at", {"send_at": datetime(2999, 1, 1, tzinfo=UTC)}),
        ("send_at", {"send_at": datetime(2026, 12, 1)}),  # noqa: DTZ001 - the mistake under test
        ("hold_seconds", {"hold_seconds": -1}),
        ("hold_seconds", {"hold_seconds": 86_401}),
        ("priority", {"priority": "yesterday"}),
        ("tags[0]", {"tags": ("a\nb",)}),
        ("tags", {"tags": tuple(str(n) for n in range(51))}),
        ("metadata", {"metadata": {"a": "\x00"}}),
        ("metadata", {"metadata": {"a": "\ud800"}}),
        ("metadata", {"metadata": {"a": "x" * 20_000}}),
        ("in_reply_to", {"in_reply_to": "not a message id"}),
        ("in_reply_to", {"in_reply_to": str(uuid.uuid4())}),
        ("Idempotency-Key", {"key": "x" * 256}),
        ("Idempotency-Key", {"key": "\n"}),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_name_of_its_field(
    house: House, field: str, wrong: dict[str, Any]
) -> None:
    to = wrong.pop("to", ("elena@x.example",))
    with pytest.raises(SubmissionInvalid) as refused:
        send(house.as_key, *to, **wrong)
    assert refused.value.field == field
    assert refused.value.reason
    assert not Message.objects.exists()


def test_untidy_text_is_cleaned_and_sent(house: House) -> None:
    submitted = send(
        house.as_key,
        "elena@x.example",
        subject="a\r\nBcc: evil@x.example\x00" + "x" * 5000,
        text="NUL \x00 and half \ud800 a character",
        html="<p>\x00</p>",
    )
    parsed = parse(raw_of(submitted.message))
    assert parsed.bcc == ()
    assert parsed.subject.startswith("a Bcc: evil@x.example")
    assert "half  a character" in parsed.text


def test_an_empty_body_may_be_sent(house: House) -> None:
    assert send(house.as_key, "elena@x.example", subject="", text="").deliveries[0].state == "queued"


def test_too_large_a_message_names_its_files(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MAX_MESSAGE_BYTES", 10_000)
    with pytest.raises(SubmissionInvalid, match=r"attachments: .* limit is 10,000"):
        send(house.as_key, "elena@x.example", attachments=(attachment(content=b"x" * 9_000),))
    with pytest.raises(SubmissionInvalid, match="text"):
        send(house.as_key, "elena@x.example", text="x" * 10_001)


def test_a_large_file_needs_s3_and_without_it_nothing_is_left_behind(house: House, servers: Servers) -> None:
    servers.s3.stop()
    with pytest.raises(ObjectStoreUnavailable):
        send(house.as_key, "elena@x.example", attachments=(attachment(content=b"x" * 300_000),))
    assert not Message.objects.exists()
    assert send(house.as_key, "elena@x.example").deliveries[0].state == "queued"


# who may send from where


def test_people_send_from_the_mailboxes_they_see_and_no_others(house: House, stranger: House) -> None:
    send(house.as_alice, "elena@x.example", sender="alice@house.test")
    send(house.as_alice, "elena@x.example", sender="support+news@house.test")
    for sender in ("bob@house.test", "alice@stranger.test", "admin@house.test"):
        with pytest.raises(SubmissionInvalid, match="from"):
            send(house.as_alice, "elena@x.example", sender=sender)
    with pytest.raises(SubmissionInvalid, match="from"):
        send(stranger.as_key, "elena@x.example", sender="support@house.test")


def test_the_mailboxs_name_is_used_where_the_sender_gives_none(house: House) -> None:
    named = send(house.as_key, "elena@x.example", sender="Ann <support@house.test>")
    assert named.message.sender_name == "Ann"
    assert send(house.as_key, "elena@x.example").message.sender_name == "House Support"


# times and lanes


def test_an_undo_window_holds_everything_back(house: House) -> None:
    before = timezone.now()
    submitted = send(house.as_key, "elena@x.example", "bob@house.test", hold_seconds=10)
    for delivery in submitted.deliveries:
        assert (delivery.state, delivery.cause) == (DeliveryState.SCHEDULED, "undo_window")
        assert delivery.due_at is not None
        assert 10 <= (delivery.due_at - before).total_seconds() < 15
    assert submitted.message.state == DeliveryState.SCHEDULED


def test_a_schedule_beyond_the_undo_window_is_the_cause(house: House) -> None:
    at = timezone.now() + timedelta(hours=3)
    delivery = send(house.as_key, "elena@x.example", hold_seconds=10, send_at=at).deliveries[0]
    assert (delivery.cause, delivery.due_at) == ("schedule", at)
    assert delivery.expires_at == at + timedelta(days=5)


def test_low_priority_goes_the_slow_lane(house: House) -> None:
    assert send(house.as_key, "elena@x.example", priority="low").deliveries[0].lane == Lane.BULK
    assert send(house.as_key, "elena@x.example", priority="high").deliveries[0].lane == Lane.INTERACTIVE


# what it answers


def test_an_answer_joins_the_conversation_and_refers_to_all_of_it(house: House) -> None:
    first = send(house.as_key, "elena@x.example")
    second = send(house.as_key, "elena@x.example", in_reply_to=f"<{first.message.rfc_message_id}>")
    third = send(house.as_key, "elena@x.example", in_reply_to=str(second.message.pk))
    assert first.message.thread == second.message.thread == third.message.thread
    assert third.message.in_reply_to == [second.message.rfc_message_id]
    assert third.message.references == [first.message.rfc_message_id, second.message.rfc_message_id]


def test_references_stay_bounded_in_a_long_conversation(house: House) -> None:
    message = send(house.as_key, "elena@x.example").message
    first_id = message.rfc_message_id
    for _ in range(25):
        message = send(house.as_key, "elena@x.example", in_reply_to=str(message.pk)).message
    assert len(message.references) == 20
    assert message.references[0] == first_id


def test_an_unknown_message_id_is_referred_to_and_starts_a_conversation(house: House) -> None:
    submitted = send(house.as_key, "elena@x.example", in_reply_to="<elsewhere@x.example>")
    assert submitted.message.in_reply_to == ["elsewhere@x.example"]
    assert submitted.message.references == ["elsewhere@x.example"]


def test_another_organisations_message_is_no_message(house: House, stranger: House) -> None:
    theirs = send(stranger.as_key, "elena@x.example", sender="support@stranger.test").message
    with pytest.raises(SubmissionInvalid, match="in_reply_to"):
        send(house.as_key, "elena@x.example", in_reply_to=str(theirs.pk))
    ours = send(house.as_key, "elena@x.example", in_reply_to=theirs.rfc_message_id).message
    assert ours.thread != theirs.thread


# repeated


def test_a_repeated_request_is_answered_again_and_sends_nothing(house: House) -> None:
    first = send(house.as_key, "elena@x.example", key="k", attachments=(attachment(),))
    again = send(house.as_key, "elena@x.example", key="k", attachments=(attachment(),))
    assert not first.replayed
    assert again.replayed
    assert again.message == first.message
    assert again.deliveries == first.deliveries
    assert Message.objects.count() == 1


def test_another_content_under_the_same_key_is_a_conflict(house: House) -> None:
    send(house.as_key, "elena@x.example", key="k", attachments=(attachment(),))
    with pytest.raises(IdempotencyConflict):
        send(house.as_key, "elena@x.example", key="k", attachments=(attachment(),), text="other")
    with pytest.raises(IdempotencyConflict):
        send(house.as_key, "elena@x.example", key="k", attachments=(attachment(content=b"other"),))


def test_keys_belong_to_who_sent_them(house: House) -> None:
    other_key, _secret = create_api_key(house.organisation, name="other", role=Role.ADMIN)
    send(house.as_key, "elena@x.example", key="k")
    assert not send(Principal.of_key(other_key), "elena@x.example", key="k").replayed


def test_a_key_is_good_for_a_day(house: House) -> None:
    send(house.as_key, "elena@x.example", key="k")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert not send(house.as_key, "elena@x.example", key="k", text="other").replayed
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert forget_old_keys(timezone.now()) == 1


def test_a_refused_submission_leaves_its_key_free(house: House) -> None:
    with pytest.raises(SubmissionInvalid):
        send(house.as_key, "nonsense", key="k")
    assert not send(house.as_key, "elena@x.example", key="k").replayed


@pytest.mark.django_db(transaction=True)
def test_the_same_request_eight_times_at_once_sends_once(house: House) -> None:
    start = threading.Barrier(8)
    answers: list[Submitted] = []

    def request() -> None:
        start.wait()
        try:
            answers.append(send(house.as_key, "elena@x.example", key="k"))
        finally:
            connection.close()

    threads = [threading.Thread(target=request) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 8
    assert len({answer.message.pk for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert Delivery.objects.count() == 1
