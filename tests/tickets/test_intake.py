import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.events.models import Event
from apps.mailboxes.models import Folder, Message, MessageKind, Thread
from apps.mailboxes.projection import prepare
from apps.mailboxes.selectors import raw_of, text_of
from apps.tickets.intake import deliver_locally, file_message
from apps.tickets.models import Ticket, TicketState
from tests.arrivals import arrive
from tests.mail import raw_mail
from tests.people import House, build_house

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_a_customers_mail_becomes_a_ticket(house: House) -> None:
    raw = raw_mail()
    message = arrive(house.support, raw)
    ticket = Ticket.objects.get()
    assert ticket.number == 1
    assert ticket.subject == "Invoice 20931 charged twice"
    assert (ticket.requester_name, ticket.requester_address) == ("Elena Marsh", "elena@customer.example")
    assert ticket.state == TicketState.OPEN
    entry = message.entries.get()
    assert (entry.mailbox, entry.folder, entry.is_read) == (house.support, Folder.INBOX, False)
    assert raw_of(message) == raw
    assert "charged twice" in text_of(message)
    assert list(Event.objects.order_by("id").values_list("kind", flat=True)) == [
        "message.received",
        "ticket.opened",
    ]


def test_a_ticket_begins_with_the_priority_its_mail_asks_for(house: House) -> None:
    arrive(house.support, headers={"X-Priority": "1 (Highest)"})
    arrive(house.support, subject="[URGENT] Pumps down", message_id="b@x.example")
    arrive(house.support, message_id="c@x.example", headers={"List-Id": "<news.x.example>"})
    arrive(house.support, message_id="d@x.example")
    chosen = Ticket.objects.order_by("number").values_list("priority", "priority_because")
    assert list(chosen) == [
        ("high", "sender_marked_it"),
        ("urgent", "subject_says_urgent"),
        ("low", "from_a_list"),
        ("normal", "nothing_special"),
    ]


def test_an_answer_changes_no_priority(house: House) -> None:
    arrive(house.support)
    Ticket.objects.update(priority="low", priority_because="set_by_a_person")
    arrive(
        house.support,
        subject="[URGENT] again",
        message_id="b@x.example",
        headers={"In-Reply-To": "<first@customer.example>", "Importance": "high"},
    )
    assert Ticket.objects.get().priority == "low"


def test_what_the_envelope_and_the_headers_said_is_kept(house: House) -> None:
    message = file_message(
        prepare(raw_mail(headers={"Precedence": "bulk", "Auto-Submitted": "auto-generated"})),
        organisation_id=house.organisation.pk,
        mailboxes=[house.support],
        received_at=NOW,
        envelope_sender="",
    )
    message.refresh_from_db()
    assert message.envelope_sender == ""
    assert message.handling == {"precedence": "bulk", "auto-submitted": "auto-generated"}


def test_events_carry_ids_and_no_words(house: House) -> None:
    arrive(house.support)
    told = " ".join(str(row) for row in Event.objects.values())
    assert "elena" not in told
    assert "Invoice" not in told


def test_an_answer_continues_the_ticket_and_reopens_it(house: House) -> None:
    arrive(house.support)
    Ticket.objects.update(state=TicketState.SOLVED, solved_at=NOW)
    answer = raw_mail(
        message_id="second@customer.example", headers={"In-Reply-To": "<first@customer.example>"}
    )
    message = arrive(house.support, answer, at=NOW + timedelta(hours=1))
    ticket = Ticket.objects.get()
    assert ticket.state == TicketState.OPEN
    assert ticket.solved_at is None
    assert ticket.last_activity_at == NOW + timedelta(hours=1)
    assert message.thread_id == ticket.thread_id
    assert message.filed_rule == "answers_known"
    assert message.filed_sentence == (
        "It answers <first@customer.example>, and its sender takes part in that conversation."
    )


def test_references_are_tried_from_the_newest(house: House) -> None:
    arrive(house.support, message_id="a@x.example")
    newer = arrive(house.support, message_id="b@x.example")
    answer = arrive(
        house.support,
        message_id="c@x.example",
        headers={"References": "<a@x.example> <b@x.example> <q@x.example>"},
    )
    assert answer.thread_id == newer.thread_id


def test_the_same_subject_alone_joins_nothing(house: House) -> None:
    arrive(house.support, message_id="a@x.example")
    arrive(house.support, message_id="b@y.example", sender="other@y.example")
    assert Ticket.objects.count() == 2
    assert list(Ticket.objects.order_by("number").values_list("number", flat=True)) == [1, 2]


def test_another_organisations_message_is_never_a_parent(house: House, stranger: House) -> None:
    file_message(
        prepare(raw_mail()),
        organisation_id=stranger.organisation.pk,
        mailboxes=[stranger.support],
        received_at=NOW,
    )
    arrive(house.support, message_id="b@x.example", headers={"In-Reply-To": "<first@customer.example>"})
    assert Thread.objects.count() == 2


def test_mail_to_a_person_opens_no_ticket(house: House) -> None:
    arrive(house.alices, to="alice@house.test")
    assert not Ticket.objects.exists()


def test_mail_to_two_shared_mailboxes_is_one_message_and_two_entries(house: House) -> None:
    message = arrive([house.support, house.alices, house.support])
    assert Message.objects.count() == 1
    assert message.entries.count() == 2
    assert Ticket.objects.count() == 1


def test_filing_locally_again_adds_nothing(house: House) -> None:
    message = arrive(house.support)
    deliver_locally(message, [house.support], NOW)
    assert message.entries.count() == 1
    assert Ticket.objects.count() == 1


def test_an_archived_conversation_comes_back_with_an_answer(house: House) -> None:
    first = arrive(house.support)
    first.entries.update(folder=Folder.ARCHIVE)
    arrive(house.support, message_id="b@x.example", headers={"In-Reply-To": "<first@customer.example>"})
    assert first.entries.get().folder == Folder.INBOX


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff" * 500,
        b"Subject: \x00\xed\xa0\x80 lone\r\n\r\nbody \x00\r\n",
        b"Subject: "
        + b"x" * 100_000
        + b"\r\nMessage-ID: <"
        + b"y" * 5000
        + b"@z>\r\n\r\n"
        + b"word " * 50_000,
        b"Content-Type: text/plain; charset=\x00utf\r\n\r\n\x80\x81",
    ],
    ids=["empty", "noise", "surrogate", "endless", "charset"],
)
def test_whatever_arrives_becomes_a_ticket_with_its_bytes(house: House, raw: bytes) -> None:
    message = arrive(house.support, raw)
    assert Ticket.objects.count() == 1
    assert raw_of(message) == raw


def test_kinds_are_kept(house: House) -> None:
    message = arrive(house.support, headers={"Auto-Submitted": "auto-replied"})
    assert message.kind == MessageKind.AUTO_REPLY


@pytest.mark.django_db(transaction=True)
def test_two_answers_at_once_share_one_ticket() -> None:
    """The first answer to a message we sent opens its ticket: both must not."""
    house = build_house("Race", "race.test")
    first = arrive(house.alices)
    barrier = threading.Barrier(2)

    def answer(name: str) -> None:
        prepared = prepare(
            raw_mail(message_id=f"{name}@x.example", headers={"In-Reply-To": "<first@customer.example>"})
        )
        barrier.wait(10)
        try:
            file_message(
                prepared, organisation_id=house.organisation.pk, mailboxes=[house.support], received_at=NOW
            )
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(answer, ["left", "right"]))
    assert Ticket.objects.count() == 1
    assert Message.objects.filter(thread=first.thread_id).count() == 3


@pytest.mark.parametrize(
    ("headers", "reopens"), [({}, True), ({"Auto-Submitted": "auto-replied"}, False)], ids=str
)
def test_only_what_somebody_wrote_opens_a_solved_ticket_again(
    house: House, headers: dict[str, str], *, reopens: bool
) -> None:
    arrive(house.support)
    Ticket.objects.update(state=TicketState.SOLVED, solved_at=timezone.now())
    answers = {"In-Reply-To": "<first@customer.example>", **headers}
    answer = arrive(house.support, message_id="second@customer.example", headers=answers)
    ticket = Ticket.objects.get()
    assert ticket.thread_id == answer.thread_id
    assert ticket.state == (TicketState.OPEN if reopens else TicketState.SOLVED)
    assert (ticket.solved_at is None) == reopens
    assert ticket.last_activity_at == answer.received_at
    told = Event.objects.filter(kind="ticket.answered_by_customer", ticket_id=ticket.pk)
    assert [event.data for event in told] == ([{"reopened": True}] if reopens else [])
