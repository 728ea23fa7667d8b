"""Folders, conversations, and what one does with them."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.blobs.errors import ObjectStoreUnavailable
from apps.mailboxes.models import Folder, Mailbox, MailboxEntry, Message
from apps.tickets.models import Ticket, TicketState
from apps.tickets.services import add_note
from apps.webmail import bodies
from apps.webmail.shell import Place, rail_of
from tests.arrivals import arrive
from tests.outbound.sending import send
from tests.people import House
from tests.screening.files import EICAR

FRAGMENT = {"HX-Request": "true", "HX-Request-Type": "partial"}


def folder_address(mailbox: Mailbox, folder: Folder = Folder.INBOX) -> str:
    return reverse("webmail:folder", kwargs={"mailbox_id": mailbox.pk, "folder": folder})


def address(name: str, mailbox: Mailbox, message: Message, **more: Any) -> str:
    kwargs = {"mailbox_id": mailbox.pk, "thread_id": message.thread_id, **more}
    return reverse(f"webmail:{name}", kwargs=kwargs)


def conversation_address(mailbox: Mailbox, message: Message) -> str:
    return address("conversation", mailbox, message, folder=Folder.INBOX)


def test_home_is_the_teams_inbox(house: House, alice: Client) -> None:
    assert alice.get("/")["Location"] == folder_address(house.support)


def test_an_empty_team_inbox_tells_the_newcomer_what_to_do(house: House, alice: Client) -> None:
    page = alice.get(folder_address(house.support)).content.decode()
    assert "Write to" in page
    assert "support@house.test" in page


def test_the_list_shows_who_wrote_what_and_that_it_is_unread(house: House, alice: Client) -> None:
    arrive(house.support)
    page = alice.get(folder_address(house.support)).content.decode()
    assert "Elena Marsh" in page
    assert "Invoice 20931 charged twice" in page
    assert "our card was charged twice" in page
    assert 'class="row unread"' in page


def test_a_page_of_rows_costs_the_same_however_many_there_are(
    house: House, alice: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(3):
        arrive(house.support, message_id=f"few{n}@x.example")
    with django_assert_max_num_queries(24) as few:
        alice.get(folder_address(house.support))
    for n in range(30):
        arrive(house.support, message_id=f"many{n}@x.example")
    with django_assert_max_num_queries(24) as many:
        alice.get(folder_address(house.support))
    assert len(many) == len(few)


def test_the_next_page_begins_where_the_first_ended(house: House, alice: Client) -> None:
    for n in range(60):
        arrive(house.support, subject=f"Mail number {n:02}", message_id=f"n{n}@x.example")
    first = alice.get(folder_address(house.support))
    second = alice.get(first.context["more_url"], headers=FRAGMENT)
    numbers = [listed.row.subject for page in (first, second) for listed in page.context["rows"]]
    assert numbers == [f"Mail number {n:02}" for n in reversed(range(60))]
    assert second.context["more_url"] == ""


@pytest.mark.parametrize("before", ["nonsense", "2026-01-01", "2026-01-01T00:00:00~x", "~", "\x00~\x00"])
def test_a_crafted_position_is_no_page(house: House, alice: Client, before: str) -> None:
    rows = reverse("webmail:rows", kwargs={"mailbox_id": house.support.pk, "folder": Folder.INBOX})
    assert alice.get(rows, {"before": before}).status_code == 404


def test_search_finds_by_word_and_says_when_it_does_not(house: House, alice: Client) -> None:
    arrive(house.support)
    found = alice.get(folder_address(house.support), {"q": "charged"})
    assert [listed.row.subject for listed in found.context["rows"]] == ["Invoice 20931 charged twice"]
    assert "Nothing found" in alice.get(folder_address(house.support), {"q": "umlaut"}).content.decode()


def test_a_conversation_shows_ticket_text_and_notes(house: House, alice: Client) -> None:
    message = arrive(house.support)
    add_note(house.as_bob, Ticket.objects.get(), "Refund is on its way", now=timezone.now())
    page = alice.get(conversation_address(house.support, message)).content.decode()
    for shown in ("#1", "Elena Marsh", "our card was charged twice", "Refund is on its way", "Bob House"):
        assert shown in page


def test_a_fragment_is_the_conversation_alone(house: House, alice: Client) -> None:
    message = arrive(house.support)
    answer = alice.get(conversation_address(house.support, message), headers=FRAGMENT)
    assert "<html" not in answer.content.decode()
    assert "HX-Request-Type" in answer["Vary"]
    assert "no-store" in answer["Cache-Control"]


def test_text_is_escaped_and_quotes_are_folded_not_dropped(house: House, alice: Client) -> None:
    text = (
        "<b>Thanks</b>, see https://x.example/a?b=1&c=2.\r\n\r\nOn Monday, Bob wrote:\r\n> the old words\r\n"
    )
    message = arrive(house.support, text=text)
    page = alice.get(conversation_address(house.support, message)).content.decode()
    assert "&lt;b&gt;Thanks&lt;/b&gt;" in page
    assert 'href="https://x.example/a?b=1&amp;c=2"' in page
    assert '<details class="fold"' in page
    assert "the old words" in page


def test_only_the_newest_messages_of_a_long_conversation_are_opened(house: House, alice: Client) -> None:
    first = arrive(house.support)
    for n in range(20):
        reference = {"In-Reply-To": "<first@customer.example>"}
        arrive(house.support, message_id=f"answer{n}@x.example", headers=reference)
    MailboxEntry.objects.update(is_read=True)
    shown = alice.get(conversation_address(house.support, first)).context["shown"]
    assert [message.body is not None for message in shown.messages] == [False] * 9 + [True] * 3
    closed = reverse("webmail:message-body", kwargs={"mailbox_id": house.support.pk, "message_id": first.pk})
    assert b"our card was charged twice" in alice.get(closed).content


def test_a_text_out_of_reach_does_not_take_the_conversation_away(
    house: House, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = arrive(house.support)

    def away(_message: Message) -> str:
        raise ObjectStoreUnavailable

    monkeypatch.setattr(bodies, "text_of", away)
    answer = alice.get(conversation_address(house.support, message))
    assert answer.status_code == 200
    assert "It is not lost" in answer.content.decode()


def test_reading_is_told_and_taken_back(house: House, alice: Client) -> None:
    message = arrive(house.support)
    read = address("read", house.support, message)
    assert alice.post(read, {"is_read": "1"}).json() == {"changed": 1}
    assert MailboxEntry.objects.get().is_read
    assert alice.post(read, {"is_read": "0"}).json() == {"changed": 1}
    assert not MailboxEntry.objects.get().is_read


def test_looking_at_a_conversation_alone_marks_nothing_read(house: House, alice: Client) -> None:
    message = arrive(house.support)
    alice.get(conversation_address(house.support, message))
    assert not MailboxEntry.objects.get().is_read


def test_a_conversation_moves_and_comes_back(house: House, alice: Client) -> None:
    message = arrive(house.support)
    move = address("move", house.support, message)
    assert alice.post(move, {"folder": "archive"}).json() == {"changed": 1}
    assert MailboxEntry.objects.get().folder == Folder.ARCHIVE
    assert alice.post(move, {"folder": "outbox"}).status_code == 422
    assert MailboxEntry.objects.get().folder == Folder.ARCHIVE


def test_a_star_is_given_and_taken(house: House, alice: Client) -> None:
    message = arrive(house.support)
    handle = reverse("webmail:handle", kwargs={"mailbox_id": house.support.pk, "folder": Folder.INBOX})
    for deed, pressed in (("star", "true"), ("unstar", "false")):
        alice.post(handle, {"do": deed, "thread": str(message.thread_id)})
        page = alice.get(conversation_address(house.support, message)).content.decode()
        bar = page[page.index('id="bar"') :]
        assert f'aria-pressed="{pressed}"' in bar[: bar.index('data-command="star"')].rpartition("<button")[2]


def test_a_ticket_is_solved_assigned_and_noted(house: House, alice: Client) -> None:
    arrive(house.support)
    ticket = Ticket.objects.get()
    change = reverse("webmail:change-ticket", kwargs={"ticket_id": ticket.pk, "folder": Folder.INBOX})
    assert b"Reopen" in alice.post(change, {"state": "solved"}).content
    assert b"Bob House" in alice.post(change, {"assignee": str(house.bob.pk)}).content
    ticket.refresh_from_db()
    assert (ticket.state, ticket.assignee) == (TicketState.SOLVED, house.bob)
    alice.post(change, {"assignee": "nobody", "state": "open"})
    ticket.refresh_from_db()
    assert (ticket.state, ticket.assignee) == (TicketState.OPEN, None)


def test_a_ticket_shows_its_priority_with_the_reason_and_takes_another(house: House, alice: Client) -> None:
    message = arrive(house.support, subject="[URGENT] Pumps down")
    page = alice.get(conversation_address(house.support, message)).content.decode()
    assert 'class="chip bad" title="The subject begins with a marker for urgent mail."' in page
    ticket = Ticket.objects.get()
    change = reverse("webmail:change-ticket", kwargs={"ticket_id": ticket.pk, "folder": Folder.INBOX})
    answer = alice.post(change, {"priority": "low"}).content.decode()
    assert "Low priority" in answer
    assert "Somebody of the team set it." in answer
    ticket.refresh_from_db()
    assert (ticket.priority, ticket.priority_because) == ("low", "set_by_a_person")


@pytest.mark.parametrize(
    "changes", [{"state": "lost"}, {"priority": "dire"}, {"assignee": "x"}, {"assignee": settings.SECRET_KEY}]
)
def test_a_ticket_refuses_what_it_cannot_become(house: House, alice: Client, changes: dict[str, str]) -> None:
    arrive(house.support)
    change = reverse(
        "webmail:change-ticket", kwargs={"ticket_id": Ticket.objects.get().pk, "folder": Folder.INBOX}
    )
    answer = alice.post(change, changes)
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == list(changes)


def test_a_stranger_cannot_be_given_a_ticket(house: House, stranger: House, alice: Client) -> None:
    arrive(house.support)
    change = reverse(
        "webmail:change-ticket", kwargs={"ticket_id": Ticket.objects.get().pk, "folder": Folder.INBOX}
    )
    assert alice.post(change, {"assignee": str(stranger.alice.pk)}).status_code == 422


def test_every_page_forbids_scripts_but_its_own(house: House, alice: Client) -> None:
    policy = alice.get(folder_address(house.support))["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'nonce-" in policy
    assert "unsafe" not in policy


def test_times_are_on_the_persons_own_clock(house: House, alice: Client) -> None:
    arrive(house.support)
    at = Message.objects.get().received_at
    alice.cookies["timezone"] = "Pacific/Kiritimati"
    page = alice.get(folder_address(house.support)).content.decode()
    assert f"{at.astimezone(ZoneInfo('Pacific/Kiritimati')):%H:%M}</time>" in page
    alice.cookies["timezone"] = "../../etc/passwd"
    assert alice.get(folder_address(house.support)).status_code == 200


def test_the_rails_figures_tell_what_is_unread_in_every_mailbox(house: House, alice: Client) -> None:
    message = arrive(house.support)
    arrive(house.alices)
    figures = alice.get(reverse("webmail:rail")).content.decode()
    for mailbox in (house.support, house.alices):
        assert f'data-live="inbox-{mailbox.pk}">1</span>' in figures
    alice.post(address("read", house.support, message), {"is_read": "1"})
    assert (
        f'data-live="inbox-{house.support.pk}"></span>' in alice.get(reverse("webmail:rail")).content.decode()
    )


def test_what_screening_refused_is_counted_with_the_errors_and_not_as_waiting(house: House) -> None:
    send(house.as_alice, "bob@house.test", sender="alice@house.test", text=EICAR.decode())
    rail = rail_of(house.as_alice, Place())
    assert (rail.waiting, rail.errors) == (0, 1)
