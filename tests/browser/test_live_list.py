"""A long list while colleagues work in it: what changes far down is seen there, and nothing moves under one's hands."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from apps.mailboxes.labels import create_label, put_label
from apps.mailboxes.models import Folder, MailboxEntry
from apps.mailboxes.services import mark_conversation_read, move_conversation
from tests.arrivals import arrive
from tests.browser.test_finding import fill, scroll_to
from tests.people import House

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]


def top_of(row: Locator) -> float:
    box = row.bounding_box()
    assert box is not None
    return box["y"]


def thread_of(subject: str) -> MailboxEntry:
    return MailboxEntry.objects.get(message__subject__startswith=subject)


def test_what_colleagues_do_to_a_later_page_is_seen_there_and_moves_nothing(
    house: House, page: Page, sign_in: SignIn
) -> None:
    fill(house, 110)
    sign_in("alice@house.test")
    scroll_to(page, "Order 030")
    held = page.locator(".row", has_text="Order 030")
    held.locator("a").focus()
    before = top_of(held)
    read, labelled, gone = (thread_of(f"Order {n}").thread_id for n in ("029", "028", "031"))
    mark_conversation_read(house.as_bob, house.support, read, is_read=True)
    put_label(house.support, [labelled], create_label(house.as_alice, "Refund"))
    move_conversation(house.as_bob, house.support, gone, Folder.ARCHIVE)
    expect(page.locator(".row", has_text="Order 031")).to_have_count(0)
    expect(page.locator(".row.unread", has_text="Order 029")).to_have_count(0)
    expect(page.locator(".row", has_text="Order 028").locator(".label")).to_have_text("Refund")
    expect(held.locator("a")).to_be_focused()
    assert abs(top_of(held) - before) < 2


def test_what_moves_up_from_below_is_not_told_as_new(house: House, page: Page, sign_in: SignIn) -> None:
    fill(house, 60)
    sign_in("alice@house.test")
    page.keyboard.press("j")
    page.keyboard.press("o")
    page.wait_for_selector("#conversation")
    move_conversation(house.as_bob, house.support, thread_of("Order 057").thread_id, Folder.ARCHIVE)
    expect(page.locator(".row", has_text="Order 057")).to_have_count(0)
    expect(page.locator(".row", has_text="Order 009")).to_be_attached()
    expect(page.locator("#list .pill")).to_be_hidden()
    arrive(
        house.support, subject="Brand new", message_id="new@x.example", at=datetime.now(UTC) + timedelta(1)
    )
    expect(page.locator("#list .pill")).to_have_text("1 new conversation")
