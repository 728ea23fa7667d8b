"""Every page asks the database a fixed number of questions, whatever it shows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.mailboxes.models import MailboxEntry
from tests.arrivals import arrive
from tests.people import House

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
FRAGMENT = {"HX-Request": "true", "HX-Request-Type": "partial"}


@pytest.fixture
def admin(house: House, client: Client) -> Client:
    client.force_login(house.admin)
    return client


def mails(house: House, numbers: range, *, answers: bool = False) -> None:
    for n in numbers:
        arrive(
            house.support,
            message_id=f"n{n}@x.example",
            headers={"In-Reply-To": "<n0@x.example>"} if answers and n else {},
            at=NOW + timedelta(hours=n),
        )
    MailboxEntry.objects.update(is_read=True)


def conversation(house: House) -> str:
    return f"/m/{house.support.pk}/inbox/{MailboxEntry.objects.earliest('sorted_at').thread_id}/"


PAGES: dict[str, Callable[[House], str]] = {
    "list": lambda house: f"/m/{house.support.pk}/inbox/",
    "rows": lambda house: f"/m/{house.support.pk}/inbox/rows/",
    "search": lambda house: f"/m/{house.support.pk}/inbox/?q=charged",
    "search with conditions": lambda house: f"/m/{house.support.pk}/inbox/rows/?q=charged+is:open+-is:unread",
    "rail": lambda _house: "/rail/",
    "conversation": conversation,
    "mailbox settings": lambda _house: "/mailbox-settings/",
    "keys": lambda _house: "/keys/",
    "phrases": lambda _house: "/phrases/",
}


def questions(client: Client, url: str, **headers: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(url, headers=headers).status_code == 200
    return len(asked)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_as_often_in_a_fuller_mailbox(house: House, admin: Client, name: str) -> None:
    mails(house, range(4))
    few = questions(admin, PAGES[name](house))
    mails(house, range(4, 30))
    assert questions(admin, PAGES[name](house)) == few


def test_a_conversation_of_300_asks_as_often_as_one_of_30(house: House, admin: Client) -> None:
    mails(house, range(30), answers=True)
    thirty = questions(admin, conversation(house), **FRAGMENT)
    mails(house, range(30, 300), answers=True)
    assert questions(admin, conversation(house), **FRAGMENT) == thirty
