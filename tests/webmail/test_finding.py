"""What the pages say of a search, what they suggest, and what is done to what was found."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from apps.mailboxes.labels import create_label, put_label
from apps.mailboxes.models import Folder, Label, MailboxEntry, Message, SavedView, Snooze
from apps.mailboxes.operators import Kind, read_query
from apps.tickets.models import Ticket
from apps.webmail.found_words import FoundWords
from tests.arrivals import arrive
from tests.people import House

JSON = {"Accept": "application/json"}
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def at(name: str, house: House, **more: object) -> str:
    return reverse(f"webmail:{name}", kwargs={"mailbox_id": house.support.pk, **more})


@pytest.fixture
def mails(house: House) -> list[Message]:
    senders = (
        "Elena Marsh <elena@customer.example>",
        "Tomas Lind <tomas@lind.example>",
        "Zoë <zoe@x.example>",
    )
    return [
        arrive(
            house.support,
            sender=sender,
            subject=f"Mail {n}",
            message_id=f"{n}@x.example",
            at=NOW + timedelta(n),
        )
        for n, sender in enumerate(senders)
    ]


@pytest.mark.parametrize(
    ("asked", "text", "marked"),
    [
        ("grusse", "Viele Grüße aus Köln", "Viele <mark>Grüße</mark> aus Köln"),
        ("kol", "Viele Grüße aus Köln", "Viele Grüße aus <mark>Köln</mark>"),
        ("kol grusse", "Köln", "Köln"),
        ("求書", "請求書の送付", "請<mark>求書</mark>の送付"),
        ("請求書", "請求書の送付", "<mark>請求書</mark>の送付"),
        ("script", "<script>", "&lt;<mark>script</mark>&gt;"),
        ("-hello world", "hello world", "hello <mark>world</mark>"),
        ("…", "a & b", "a &amp; b"),
    ],
)
def test_what_was_found_is_marked_and_the_rest_escaped(asked: str, text: str, marked: str) -> None:
    assert FoundWords.of(read_query(asked, NOW), Kind.WORDS).mark(text) == marked


def test_the_snippet_shows_where_a_word_was_found(house: House, alice: Client) -> None:
    arrive(house.support, text="Hello,\r\n" + "many words before it. " * 20 + "The xylophone broke.\r\n")
    page = alice.get(at("folder", house, folder="inbox"), {"q": "xylophone"}).content.decode()
    assert "… " in page
    assert "<mark>xylophone</mark> broke" in page


def test_a_row_shows_its_labels(house: House, alice: Client, mails: list[Message]) -> None:
    put_label(house.support, [mails[0].thread_id], create_label(house.as_alice, "<Vip>", "purple"))
    page = alice.get(at("folder", house, folder="inbox")).content.decode()
    assert page.count('class="label purple" data-label=') == 1
    assert "&lt;Vip&gt;" in page


@pytest.mark.parametrize(
    ("piece", "inserted"),
    [
        ("from:el", ["from:elena@customer.example"]),
        ("-from:lind", ["-from:tomas@lind.example"]),
        ("zo", ["from:zoe@x.example"]),
        ("is:st", ["is:starred"]),
        ("in:tr", ["in:trash"]),
        ("assignee:al", ["assignee:alice@house.test"]),
        ("assignee:no", ["assignee:none"]),
        ("label:lat", ['label:"Late parcel"']),
        ("lat", ['label:"Late parcel"']),
        ("before:", []),
        ("colour:r", []),
        ("", []),
    ],
)
def test_suggestions_fit_what_is_typed(
    house: House, alice: Client, mails: list[Message], piece: str, inserted: list[str]
) -> None:
    create_label(house.as_alice, "Late parcel")
    options = alice.get(at("suggestions", house), {"piece": piece}).json()["options"]
    assert [one["insert"] for one in options] == inserted


def test_several_are_handled_and_all_of_it_is_taken_back(
    house: House, alice: Client, mails: list[Message]
) -> None:
    handle = at("handle", house, folder="inbox")
    threads = [str(one.thread_id) for one in mails[:2]]
    answer = alice.post(handle, {"do": "archive", "thread": threads}).json()
    assert answer["sentence"] == "Archived: 2 conversations"
    assert MailboxEntry.objects.filter(folder=Folder.ARCHIVE).count() == 2
    assert alice.post(answer["undo_url"]).json()["sentence"] == "Taken back"
    assert MailboxEntry.objects.filter(folder=Folder.INBOX).count() == 3
    assert "already" in alice.post(answer["undo_url"]).json()["sentence"]


def test_all_that_a_search_finds_is_counted_and_handled(
    house: House, alice: Client, mails: list[Message]
) -> None:
    query = {"q": "-from:elena"}
    assert alice.get(at("count", house, folder="inbox"), query).json() == {"count": 2, "more": False}
    assert alice.get(at("count", house, folder="inbox")).json() == {"count": 3, "more": False}
    answer = alice.post(at("handle", house, folder="inbox"), {"do": "solve", "all": "1", **query}).json()
    assert answer["changed"] == 2
    assert set(Ticket.objects.filter(state="solved").values_list("subject", flat=True)) == {
        "Mail 1",
        "Mail 2",
    }


def test_a_moment_is_read_on_the_persons_clock(house: House, alice: Client, mails: list[Message]) -> None:
    alice.cookies["timezone"] = "Europe/Berlin"
    wish = {"do": "snooze", "value": "2027-01-15T08:00", "thread": str(mails[0].thread_id)}
    answer = alice.post(at("handle", house, folder="inbox"), wish).json()
    assert answer["sentence"] == "Snoozed until Fri 15 Jan, 08:00 CET"
    assert Snooze.objects.get().until == datetime(2027, 1, 15, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    "wish",
    [
        {"do": "explode"},
        {},
        {"do": "snooze", "value": "soon"},
        {"do": "snooze", "value": "2020-01-01T08:00"},
        {"do": "assign", "value": "somebody"},
        {"do": "label", "value": "x"},
        {"do": "read", "thread": "x"},
    ],
)
def test_what_cannot_be_done_is_told(
    house: House, alice: Client, mails: list[Message], wish: dict[str, str]
) -> None:
    answer = alice.post(at("handle", house, folder="inbox"), {"thread": str(mails[0].thread_id), **wish})
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_a_label_of_one_name_is_made_once(house: House, alice: Client) -> None:
    first = alice.post("/labels/add/", {"name": "  Späte   Post "}, headers=JSON).json()
    again = alice.post("/labels/add/", {"name": "spate post", "colour": "red"}, headers=JSON).json()
    assert first == again
    assert first["name"] == "Späte Post"
    assert alice.post("/labels/add/", {"name": ""}, headers=JSON).status_code == 422
    assert alice.post("/labels/add/", {"name": "New", "colour": "url(x)"}, headers=JSON).status_code == 422
    assert Label.objects.count() == 1


def test_a_persons_view_is_theirs_and_a_mailboxes_everybodys(house: House, alice: Client) -> None:
    save = at("save-view", house)
    assert alice.post(save, {"name": "Mine", "q": "from:elena"}).status_code == 201
    assert alice.post(save, {"name": "Ours", "q": "is:open", "shared": "1"}).status_code == 201
    assert alice.post(save, {"name": "", "q": "is:open"}).status_code == 422
    assert alice.post(save, {"name": "Nothing", "q": " "}).status_code == 422
    bob = Client(HTTP_HOST="127.0.0.1")
    bob.force_login(house.bob)
    page = bob.get(at("folder", house, folder="inbox")).content.decode()
    assert "Ours" in page
    assert "Mine" not in page
    mine = SavedView.objects.get(name="Mine")
    assert bob.post(reverse("webmail:remove-view", kwargs={"view_id": mine.pk})).status_code == 404
    assert (
        alice.post(reverse("webmail:remove-view", kwargs={"view_id": mine.pk}), headers=JSON).status_code
        == 200
    )
