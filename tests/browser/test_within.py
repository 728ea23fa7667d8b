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
