"""A forwarded message, an invitation and an encrypted mail, as an agent sees them, wide and narrow, light and dark."""

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.mailboxes.models import Folder, Message
from tests.arrivals import arrive
from tests.mime.mails import mail, multipart
from tests.mime.test_unwrap import FORWARDED, forward
from tests.people import House
from tests.webmail.test_within import INVITATION

pytestmark = pytest.mark.browser


def address_of(house: House, message: Message) -> str:
    return reverse("webmail:conversation", args=[house.support.pk, Folder.INBOX, message.thread_id])


def test_a_forwarded_message_opens_in_its_place(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[..., None]
) -> None:
    message = arrive(house.support, forward(FORWARDED, text=b"Please see what Ben wrote.\r\n"))
    sign_in(house.alice.email)
    page.goto(address_of(house, message))
    fold = page.locator("details.enclosed")
    expect(fold).to_contain_text("Lämp")
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(page.frame_locator("details.enclosed iframe").locator("body")).to_contain_text("Old words")
    photograph("within-forwarded")


def test_an_invitation_is_a_card_beside_the_words(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[..., None]
) -> None:
    message = arrive(house.support, multipart("alternative", mail(b"Please come."), INVITATION))
    sign_in(house.alice.email)
    page.goto(address_of(house, message))
    expect(page.locator(".invitation")).to_contain_text("Look at the lamp")
    photograph("within-invitation")


def test_an_invitation_is_answered_by_one_press_and_taken_back(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[..., None]
) -> None:
    message = arrive(house.support, multipart("alternative", mail(b"Please come."), INVITATION))
    sign_in(house.alice.email)
    page.goto(address_of(house, message))
    card = page.locator(".invitation")
    card.get_by_role("button", name="Yes").click()
    expect(card.get_by_role("button", name="Yes")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".toast")).to_contain_text("You accept. The organiser is told.")
    expect(card.get_by_text("Another answer replaces it.")).to_be_visible()
    photograph("invitation-answered")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(card.get_by_role("button", name="Yes")).to_have_attribute("aria-pressed", "false")


def test_a_list_is_left_or_its_page_is_shown(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[..., None]
) -> None:
    head = b"From: news@shop.example\r\nTo: support@house.test\r\nSubject: News\r\n"
    message = arrive(
        house.support, head + b"List-Unsubscribe: <mailto:leave@shop.example>\r\n\r\nNew lamps.\r\n"
    )
    sign_in(house.alice.email)
    page.goto(address_of(house, message))
    page.get_by_role("button", name="Unsubscribe").click()
    expect(page.locator(".toast")).to_contain_text("A mail that leaves the list is on its way.")
    expect(page.get_by_text("You left this list on")).to_be_visible()
    photograph("list-left")
