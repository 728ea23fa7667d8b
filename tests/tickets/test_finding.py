"""Searches with operators, in a mailbox with real mail."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.accounts.principal import Principal
from apps.mailboxes.conversations import conversations_among
from apps.mailboxes.labels import create_label, put_label
from apps.mailboxes.models import Folder, MailboxEntry, Message
from apps.mailboxes.operators import read_query
from apps.mailboxes.selectors import messages_for
from apps.mailboxes.services import mark_conversation_read, move_conversation, star_conversation
from apps.tickets.finding import all_found, find_conversations, find_messages, find_tickets, matching_entries
from apps.tickets.models import Ticket
from apps.tickets.selectors import tickets_for
from apps.tickets.services import add_note, change_ticket
from tests.arrivals import arrive
from tests.mail import raw_mail
from tests.people import House

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def found(house: House, text: str, who: Principal | None = None) -> list[str]:
    page = find_conversations(who or house.as_alice, house.support, read_query(text, NOW))
    return sorted(row.subject for row in page.rows)


@pytest.fixture
def mails(house: House) -> dict[str, Message]:
    def mail(n: int, subject: str, **more: Any) -> Message:
        return arrive(
            house.support, subject=subject, message_id=f"{n}@x.example", at=NOW - timedelta(days=n), **more
        )

    return {
        "first": mail(1, "First", sender="Elena Marsh <elena@customer.example>", text="Grüße an Tomas\r\n"),
        "second": mail(2, "Second", sender="Tomas Lind <tomas@lind.example>", text="Hello Elena, thanks\r\n"),
        "third": mail(
            40, "Third invoice", sender="Zoë <zoe@x.example>", headers={"Cc": "Petra <petra@y.example>"}
        ),
    }


@pytest.mark.parametrize(
    ("text", "subjects"),
    [
        ("elena", ["First", "Second"]),
        ("from:elena", ["First"]),
        ("from:elen", ["First"]),
        ("from:elena@customer.example", ["First"]),
        ("from:zoe", ["Third invoice"]),
        ("-from:elena", ["Second", "Third invoice"]),
        ("elena -from:elena", ["Second"]),
        ("to:petra", ["Third invoice"]),
        ("subject:third", ["Third invoice"]),
        ("subject:elena", []),
        ('"hello elena"', ["Second"]),
        ('"elena hello"', []),
        ("grusse", ["First"]),
        ("before:2026-02-15", ["Third invoice"]),
        ("after:7d", ["First", "Second"]),
        ("-after:7d", ["Third invoice"]),
        ("has:attachment", []),
        ("#2", ["Second"]),
        ("…", []),
        ("is:open assignee:none", ["First", "Second", "Third invoice"]),
        ("colour:red", []),
    ],
)
def test_operators_find_what_they_say(
    house: House, mails: dict[str, Message], text: str, subjects: list[str]
) -> None:
    assert found(house, text) == subjects


def test_files_are_found_by_being_there_and_by_their_kind(house: House) -> None:
    raw = raw_mail(
        subject="With a bill",
        text="--b\r\nContent-Type: text/plain\r\n\r\nHere it is\r\n--b\r\nContent-Type: application/pdf\r\n"
        'Content-Disposition: attachment; filename="bill.pdf"\r\n\r\n%PDF-1.4\r\n--b--\r\n',
    )
    mixed = b'Content-Type: multipart/mixed; boundary="b"'
    arrive(house.support, raw.replace(b"Content-Type: text/plain; charset=utf-8", mixed, 1))
    arrive(house.support, subject="Without", message_id="none@x.example")
    assert found(house, "has:attachment") == ["With a bill"]
    assert found(house, "has:pdf") == ["With a bill"]
    assert found(house, "has:png") == []


def test_states_folders_and_people_are_asked_for(house: House, mails: dict[str, Message]) -> None:
    first, second, third = mails.values()
    mark_conversation_read(house.as_alice, house.support, first.thread_id, is_read=True)
    star_conversation(house.as_alice, house.support, second.thread_id, starred=True)
    move_conversation(house.as_alice, house.support, third.thread_id, Folder.TRASH)
    ticket = Ticket.objects.get(thread=first.thread_id)
    change_ticket(house.as_alice, ticket, state="solved", assignee_id=house.bob.pk, tags=["vip"], now=NOW)
    add_note(house.as_bob, ticket, "@alice what do you think?", now=NOW)
    assert found(house, "is:unread") == ["Second"]
    assert found(house, "is:read") == ["First"]
    assert found(house, "is:starred") == ["Second"]
    assert found(house, "is:solved") == ["First"]
    assert found(house, "is:open") == ["Second"]
    assert found(house, "assignee:bob") == ["First"]
    assert found(house, "assignee:me", house.as_bob) == ["First"]
    assert found(house, "assignee:me") == []
    assert found(house, "mentions:me") == ["First"]
    assert found(house, "mentions:me", house.as_bob) == []
    assert found(house, "tag:vip") == ["First"]
    assert found(house, "in:trash") == ["Third invoice"]
    assert found(house, "in:anywhere is:unread") == ["Second", "Third invoice"]
    assert found(house, "-in:inbox in:anywhere") == ["Third invoice"]


def test_labels_are_found_by_their_folded_name(house: House, mails: dict[str, Message]) -> None:
    label = create_label(house.as_alice, "Späte Lieferung", "red")
    put_label(house.support, [mails["second"].thread_id], label)
    assert found(house, 'label:"spate lieferung"') == ["Second"]
    assert found(house, '-label:"Späte Lieferung"') == ["First", "Third invoice"]


def test_a_conversation_is_found_once_and_pages_do_not_repeat_it(house: House) -> None:
    for n in range(9):
        mail = arrive(house.support, message_id=f"{n}@x.example", at=NOW + timedelta(minutes=n))
        arrive(
            house.support,
            message_id=f"answer{n}@x.example",
            headers={"In-Reply-To": f"<{mail.rfc_message_id}>"},
            at=NOW + timedelta(hours=1, minutes=-7 * n),
        )
    entries = matching_entries(house.as_alice, house.support, read_query("charged", NOW))
    seen: list[object] = []
    before = None
    while True:
        page = conversations_among(house.support, entries, before=before, limit=2)
        seen += [row.thread_id for row in page.rows]
        if page.next is None:
            break
        before = page.next
    assert len(seen) == len(set(seen)) == 9
    assert (
        len(all_found(house.as_alice, house.support, Folder.INBOX, read_query("charged", NOW), limit=50)) == 9
    )


def test_one_endless_conversation_does_not_hide_the_others(house: House) -> None:
    first = arrive(house.support, message_id="0@x.example", at=NOW)
    for n in range(1, 30):
        arrive(
            house.support,
            message_id=f"{n}@x.example",
            headers={"In-Reply-To": "<0@x.example>"},
            at=NOW + timedelta(minutes=n),
        )
    other = arrive(house.support, message_id="other@x.example", at=NOW - timedelta(days=1))
    entries = matching_entries(house.as_alice, house.support, read_query("charged", NOW))
    page = conversations_among(house.support, entries, limit=3)
    assert [row.thread_id for row in page.rows] == [first.thread_id, other.thread_id]
    assert page.next is None


def test_a_search_costs_the_same_however_much_it_finds(
    house: House, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    arrive(house.support)
    with django_assert_num_queries(5):
        found(house, "charged")
    for n in range(8):
        arrive(house.support, message_id=f"{n}@x.example")
    with django_assert_num_queries(5):
        found(house, "charged")


def test_the_api_finds_by_the_same_words(house: House, mails: dict[str, Message]) -> None:
    def messages(text: str) -> set[str]:
        rows = find_messages(house.as_alice, messages_for(house.as_alice), text, timezone.now())
        return set(rows.values_list("subject", flat=True))

    MailboxEntry.objects.filter(message=mails["first"]).update(is_read=True)
    assert messages("from:elena") == {"First"}
    assert messages("is:unread") == {"Second", "Third invoice"}
    assert messages("is:unread from:elena") == set()
    tickets = find_tickets(house.as_alice, tickets_for(house.as_alice), "from:tomas is:open", timezone.now())
    assert [ticket.subject for ticket in tickets] == ["Second"]


def test_the_outsider_finds_nothing(house: House, stranger: House, mails: dict[str, Message]) -> None:
    outsider = stranger.as_key
    assert not find_messages(outsider, messages_for(outsider), "elena", timezone.now()).exists()
    assert not find_tickets(outsider, tickets_for(outsider), "elena", timezone.now()).exists()
