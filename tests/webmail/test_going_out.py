"""Sending later, mending what was refused, acting on whole causes: what the pages' forms do."""

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.mailboxes.models import Message
from apps.mailboxes.selectors import raw_of
from apps.outbound.bounces.suppressions import add_suppression
from apps.outbound.errors import SubmissionInvalid
from apps.outbound.models import Delivery, DeliveryState, RefusedSubmission, SendingPolicy
from apps.outbound.submission.refused import asked_without_files
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.outbound.submission.submit import SubmittedAttachment
from apps.tickets.models import Ticket
from apps.webmail.send_later import choices, read_moment, told
from tests.arrivals import arrive
from tests.outbound.sending import only_delivery, send
from tests.people import House
from tests.webmail.conftest import browser_of
from tests.webmail.test_writing import COMPOSE, answer_ticket, new_mail

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@pytest.fixture
def in_berlin() -> Iterator[None]:
    with timezone.override(BERLIN):
        yield


@pytest.fixture
def berliner(alice: Client) -> Client:
    alice.cookies["timezone"] = "Europe/Berlin"
    return alice


# later


@pytest.mark.parametrize(
    ("typed", "moment", "words"),
    [
        ("2026-07-01T08:00", datetime(2026, 7, 1, 6, tzinfo=UTC), "Wed 1 Jul, 08:00 CEST"),
        ("2026-12-01T08:00", datetime(2026, 12, 1, 7, tzinfo=UTC), "Tue 1 Dec, 08:00 CET"),
        # The hour that happens twice: the first of the two.
        ("2026-10-25T02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "Sun 25 Oct, 02:30 CEST"),
        # The hour that never happens: the clock shows it an hour later, and so do we.
        ("2026-03-29T02:30", datetime(2026, 3, 29, 1, 30, tzinfo=UTC), "Sun 29 Mar, 03:30 CEST"),
        ("2026-07-01T08:00+09:00", datetime(2026, 6, 30, 23, tzinfo=UTC), "Wed 1 Jul, 01:00 CEST"),
    ],
)
def test_a_time_is_one_on_the_persons_clock(
    in_berlin: None, typed: str, moment: datetime, words: str
) -> None:
    read = read_moment(typed)
    assert read is not None
    assert read.astimezone(UTC) == moment
    assert told(read) == words


@pytest.mark.parametrize("typed", ["", "tomorrow", "2026-02-30T08:00", "25:00"])
def test_what_is_no_time_is_none(typed: str) -> None:
    assert read_moment(typed) is None


@pytest.mark.parametrize(
    ("now", "labels"),
    [
        (datetime(2026, 7, 1, 8, tzinfo=UTC), ["This evening", "Tomorrow morning", "Monday morning"]),
        (datetime(2026, 7, 1, 18, tzinfo=UTC), ["Tomorrow morning", "Monday morning"]),
        (datetime(2026, 7, 5, 18, tzinfo=UTC), ["Tomorrow morning"]),
        (datetime(2026, 7, 6, 18, tzinfo=UTC), ["Tomorrow morning", "Monday morning"]),
    ],
)
def test_moments_to_choose_are_ahead_and_not_said_twice(
    in_berlin: None, now: datetime, labels: list[str]
) -> None:
    found = choices(now)
    assert [one.label.partition(",")[0] for one in found] == labels
    assert all((read_moment(one.value) or now) > now for one in found)


def test_a_mail_for_later_is_told_on_the_persons_clock(house: House, berliner: Client) -> None:
    day = (timezone.now() + timedelta(days=30)).date()
    typed = f"{day}T08:00"
    answer = berliner.post(COMPOSE, new_mail(send_at="own", send_at_own=typed, cancel_if_replied="on"))
    assert answer.status_code == 202
    delivery = Delivery.objects.get()
    assert delivery.due_at == datetime.combine(day, datetime.min.time(), BERLIN).replace(hour=8)
    assert delivery.cancel_if_replied
    assert "08:00 CE" in answer.json()["sentence"]
    moved = f"{day}T09:30"
    address = reverse("webmail:reschedule", kwargs={"message_id": delivery.message_id})
    assert "09:30" in berliner.post(address, {"send_at": moved}).json()["sentence"]
    assert berliner.post(address, {"send_at": "nonsense"}).status_code == 422
    assert berliner.post(address, {"send_at": "2020-01-01T08:00"}).status_code == 422
    assert berliner.post(address).status_code == 200
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.QUEUED
    assert berliner.post(address).status_code == 409


@pytest.mark.parametrize("typed", ["", "rubbish", "2020-01-01T08:00"])
def test_a_time_that_is_none_or_has_passed_sends_nothing(house: House, berliner: Client, typed: str) -> None:
    answer = berliner.post(COMPOSE, new_mail(send_at="own", send_at_own=typed))
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == ["send_at"]
    assert not Message.objects.exists()


# refused


def test_every_wrong_field_is_marked_at_once_and_the_mail_is_kept(house: House, alice: Client) -> None:
    file = SimpleUploadedFile("plan.pdf", b"%PDF", content_type="application/pdf")
    answer = alice.post(COMPOSE, new_mail(to="nonsense", cc="also", idempotency_key="draft", files=[file]))
    assert answer.status_code == 422
    assert set(answer.json()["errors"]) == {"to", "cc"}
    kept = RefusedSubmission.objects.get()
    assert kept.files.get().filename == "plan.pdf"
    assert "nonsense" in alice.get(reverse("webmail:errors")).content.decode()
    assert alice.post(COMPOSE, new_mail(idempotency_key="draft")).status_code == 202
    assert "nonsense" not in alice.get(reverse("webmail:errors")).content.decode()


def refused(house: House, **fields: Any) -> RefusedSubmission:
    fields = {
        "headers": (("X-Order", "7"), ("Received", "by mx")),
        "html": "<p>Hello</p>",
        "metadata": {"order": 7},
        "attachments": (
            SubmittedAttachment("a.txt", "text/plain", b"one"),
            SubmittedAttachment("b.txt", "text/plain", b"two"),
        ),
        **fields,
    }
    with pytest.raises(SubmissionInvalid):
        send(house.as_alice, "nonsense", "tomas@x.example", **fields)
    return RefusedSubmission.objects.get()


def test_a_mended_mail_takes_along_what_the_composer_does_not_show(house: House, alice: Client) -> None:
    kept = refused(house)
    page = alice.get(f"{COMPOSE}?mend={kept.pk}").content.decode()
    for words in ("nonsense, tomas@x.example", "Your invoice", "a.txt", "headers.Received", "HTML version"):
        assert words in page
    fields = new_mail(
        **{"from": "support@house.test", "text": asked_without_files(kept)["text"]},
        mends=str(kept.pk),
        kept_file=["1"],
        to="t@x.example",
    )
    answer = alice.post(COMPOSE, fields)
    assert answer.status_code == 202, answer.content
    raw = raw_of(Message.objects.get())
    assert b"X-Order: 7\r\n" in raw
    assert b"by mx" not in raw
    assert b"<p>Hello</p>" in raw
    assert b"b.txt" in raw
    assert b"a.txt" not in raw
    assert Message.objects.get().metadata == {"order": 7}
    kept.refresh_from_db()
    assert not kept.is_open
    assert alice.get(f"{COMPOSE}?mend={kept.pk}").status_code == 404
    assert alice.post(COMPOSE, fields).status_code == 409


def test_html_that_says_something_else_than_the_mended_text_is_left_out(house: House, alice: Client) -> None:
    kept = refused(house)
    fields = new_mail(mends=str(kept.pk), kept_file=["1"], text="What I meant to say")
    assert alice.post(COMPOSE, fields).status_code == 202
    raw = raw_of(Message.objects.get())
    assert b"What I meant to say" in raw
    assert b"text/html" not in raw


def test_undo_brings_a_mended_mail_back_to_where_it_was_kept(house: House, alice: Client) -> None:
    kept = refused(house)
    answer = alice.post(
        COMPOSE, new_mail(mends=str(kept.pk), kept_file=["0", "1"], idempotency_key="k")
    ).json()
    assert alice.post(answer["cancel_url"]).status_code == 200
    kept.refresh_from_db()
    assert kept.is_open
    assert "a.txt" in alice.get(answer["compose_url"]).content.decode()


def test_a_refused_answer_is_mended_in_its_ticket(house: House, alice: Client) -> None:
    arrive(house.support)
    ticket = Ticket.objects.get()
    with pytest.raises(SubmissionInvalid):
        reply_to_ticket(
            house.as_alice,
            ticket,
            Reply(text="Mended.", to=("nonsense",)),
            idempotency_key=None,
            now=timezone.now(),
        )
    kept = RefusedSubmission.objects.get()
    page = alice.get(f"{COMPOSE}?mend={kept.pk}").content.decode()
    assert answer_ticket(ticket) in page
    fields = {"to": "elena@customer.example", "text": "Mended.", "mends": str(kept.pk)}
    assert alice.post(answer_ticket(ticket), fields).status_code == 202
    assert Message.objects.filter(thread=ticket.thread_id).count() == 2


def test_nobody_mends_what_they_may_not_see(house: House, stranger: House, alice: Client) -> None:
    kept = refused(house, sender="alice@house.test")
    for client in (browser_of(house.bob), browser_of(stranger.alice)):
        assert client.get(f"{COMPOSE}?mend={kept.pk}").status_code == 404
        assert client.post(COMPOSE, new_mail(mends=str(kept.pk))).status_code == 404
    assert alice.get(f"{COMPOSE}?mend=nonsense").status_code == 404


def test_a_quota_is_told_where_one_writes(house: House, alice: Client) -> None:
    SendingPolicy.objects.create(organisation=house.organisation, recipients_per_day_of_user=1)
    assert alice.post(COMPOSE, new_mail()).status_code == 202
    answer = alice.post(COMPOSE, new_mail())
    assert answer.status_code == 429
    assert "1 recipients a day" in answer.json()["errors"][""]


def test_discarding_has_an_undo(house: House, alice: Client) -> None:
    kept = refused(house)
    address = reverse("webmail:discard-refused", kwargs={"refused_id": kept.pk})
    answer = alice.post(address).json()
    assert "Your invoice" not in alice.get(reverse("webmail:errors")).content.decode()
    assert alice.post(address).status_code == 409
    assert alice.post(answer["undo_url"]).status_code == 200
    assert "Your invoice" in alice.get(reverse("webmail:errors")).content.decode()


# the Outbox


def wait_for(cause: str, count: int, house: House) -> None:
    send(house.as_alice, *(f"{cause}{n}@x.example" for n in range(count)), subject=cause)
    Delivery.objects.filter(message__subject=cause).update(
        state=DeliveryState.DEFERRED, cause=cause, due_at=timezone.now() + timedelta(hours=1)
    )


def test_a_cause_nobody_has_heard_of_still_has_a_name(house: House, alice: Client) -> None:
    wait_for("postage_unpaid", 2, house)
    page = alice.get(reverse("webmail:outbox")).content.decode()
    assert "Postage unpaid" in page


def test_the_outbox_is_paged_and_can_be_narrowed_to_a_cause(house: House, alice: Client) -> None:
    wait_for("relay_unavailable", 60, house)
    wait_for("provider_limit", 3, house)
    page = alice.get(reverse("webmail:outbox")).content.decode()
    assert page.count('id="waiting-') == 50
    assert "63 recipients wait" in page
    narrowed = alice.get(reverse("webmail:outbox"), {"cause": "provider_limit"}).content.decode()
    assert narrowed.count('id="waiting-') == 3
    after = page.partition("after=")[2].partition('"')[0]
    rest = alice.get(f"{reverse('webmail:outbox')}?after={after}").content.decode()
    assert rest.count('id="waiting-') == 13
    for nonsense in ("x", "2026-01-01~x", "2026-01-01T00:00:00~01a206c6-fb77-7606-b8dc-487e0fc5b7a7"):
        assert alice.get(reverse("webmail:outbox"), {"after": nonsense}).status_code == 404


def test_a_page_costs_the_same_however_many_wait(house: House, alice: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert alice.get(reverse("webmail:outbox")).status_code == 200
        return len(seen)

    wait_for("relay_unavailable", 2, house)
    few = queries()
    wait_for("provider_limit", 80, house)
    assert queries() == few


def test_a_story_of_many_recipients_is_paged(house: House, alice: Client) -> None:
    message = send(house.as_alice, *(f"r{n}@x.example" for n in range(25))).message
    address = reverse("webmail:story", kwargs={"message_id": message.pk})
    page = alice.get(address).content.decode()
    assert page.count('id="delivery-') == 20
    assert "Written to 25 recipients" in page
    after = page.partition("after=")[2].partition('"')[0]
    assert alice.get(f"{address}?after={after}").content.decode().count('id="delivery-') == 5


def test_the_story_is_for_the_senders_side(house: House) -> None:
    message = send(
        house.as_alice, "bob@house.test", sender="alice@house.test", bcc=("secret@x.example",)
    ).message
    address = reverse("webmail:story", kwargs={"message_id": message.pk})
    assert browser_of(house.bob).get(address).status_code == 404
    assert "secret@x.example" in browser_of(house.alice).get(address).content.decode()


# what helps


def stuck(house: House, *to: str, **fields: Any) -> Delivery:
    """A recipient whom a scanner's verdict kept from getting it."""
    message = send(house.as_alice, *to, **fields).message
    Delivery.objects.filter(message=message).update(
        state=DeliveryState.REJECTED, cause="policy_attachment", reason="“a.exe” runs", due_at=None
    )
    return Delivery.objects.get(message=message)


def test_a_mail_that_was_refused_for_what_it_says_is_edited_as_a_new_one(house: House, alice: Client) -> None:
    file = SubmittedAttachment("a.exe", "application/octet-stream", b"MZ")
    failed = stuck(house, "elena@customer.example", attachments=(file,))
    page = alice.get(reverse("webmail:errors")).content.decode()
    assert "Edit as new" in page
    assert "Try again as it is" in page
    opened = alice.post(reverse("webmail:rewrite", kwargs={"delivery_id": failed.pk}), follow=True)
    page = opened.content.decode()
    assert "Mend and send" in page
    assert "elena@customer.example" in page
    assert "it is mended." in page
    assert "“a.exe” runs" in page
    kept = RefusedSubmission.objects.get()
    answer = alice.post(COMPOSE, new_mail(mends=str(kept.pk), **{"from": "support@house.test"}))
    assert answer.status_code == 202
    assert not Message.objects.get(pk=Delivery.objects.latest("created_at").message_id).has_attachments
    late = alice.post(reverse("webmail:rewrite", kwargs={"delivery_id": failed.pk}), follow=True)
    assert "It is not in the error queue any more." in late.content.decode()


def test_a_mail_the_composer_cannot_hold_says_where_it_is_changed(house: House, alice: Client) -> None:
    stuck(house, "elena@customer.example", html="<p>Hello</p>")
    page = alice.get(reverse("webmail:errors")).content.decode()
    assert "change it where it was written" in page
    assert "Edit as new" not in page


def test_an_admin_sends_to_who_is_suppressed_in_one_step_and_an_agent_cannot(
    house: House, alice: Client
) -> None:
    add_suppression(house.as_key, "elena@customer.example", now=timezone.now())
    delivery = only_delivery(send(house.as_alice, "elena@customer.example"))
    address = reverse("webmail:send-unsuppressed", kwargs={"delivery_id": delivery.pk})
    page = alice.get(reverse("webmail:errors")).content.decode()
    assert "Only an admin can take an address off" in page
    assert "Remove the suppression and send" not in page
    assert alice.post(address).status_code == 403
    house.support.members.add(house.admin)
    admin = browser_of(house.admin)
    assert "Remove the suppression and send" in admin.get(reverse("webmail:errors")).content.decode()
    assert admin.post(address).json() == {"sentence": "Trying elena@customer.example again"}
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.QUEUED


def test_where_nobody_has_the_address_another_one_is_asked_for(house: House, alice: Client) -> None:
    send(house.as_alice, "nobody@house.test")
    page = alice.get(reverse("webmail:errors")).content.decode()
    assert "Change the address" in page
    assert page.count("Send to another address") == 1


def test_trying_one_recipient_now_leaves_the_others_where_they_are(house: House, alice: Client) -> None:
    send(house.as_alice, "elena@customer.example", "tomas@customer.example", "nobody@house.test")
    waiting = Delivery.objects.filter(state=DeliveryState.QUEUED).order_by("recipient")
    one, other = waiting
    waiting.update(state=DeliveryState.DEFERRED, due_at=timezone.now() + timedelta(hours=1))
    address = reverse("webmail:retry-recipient", kwargs={"delivery_id": one.pk})
    assert alice.post(address).status_code == 200
    states = dict(Delivery.objects.values_list("recipient", "state"))
    assert states == {one.recipient: "queued", other.recipient: "deferred", "nobody@house.test": "failed"}
    assert alice.post(address).status_code == 409
    assert alice.post(address, {"relay": str(one.pk)}).json() == {"detail": "There is no such relay in use."}
