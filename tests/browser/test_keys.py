"""Keys: the palette, sequences, one's own keys, and a day by keyboard alone."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import Preferences
from tests.arrivals import arrive
from tests.people import House
from tests.polling import wait_until

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]
Photograph = Callable[..., None]


def test_the_palette_does_goes_and_searches(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="Do or find anything")
    field = palette.get_by_role("combobox")
    expect(field).to_be_focused()
    expect(palette.get_by_role("option", name="Alice House").first).to_be_attached()
    photograph("palette")
    page.keyboard.type("nw ml")
    expect(palette.get_by_role("option", name="New mail", selected=True)).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Subject")).to_be_visible()
    expect(palette).to_be_hidden()

    page.keyboard.press("Control+k")
    expect(palette.get_by_role("option").first).to_contain_text("New mail")  # done lately
    page.keyboard.type("sent alice")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sent")).to_be_visible()

    page.keyboard.press("Control+k")
    page.keyboard.type("zzzz nothing")
    expect(palette.get_by_role("option")).to_have_text("Search for “zzzz nothing”")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Found for “zzzz nothing”")).to_be_visible()


def test_the_palette_offers_nothing_that_would_do_nothing(house: House, page: Page, sign_in: SignIn) -> None:
    sign_in("alice@house.test")
    page.keyboard.press("Control+k")
    page.keyboard.type("answer")
    expect(page.get_by_role("option", name="Answer everybody")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_two_keys_after_each_other_go_somewhere(house: House, page: Page, sign_in: SignIn) -> None:
    sign_in("alice@house.test")
    page.keyboard.type("gt")
    expect(page.get_by_role("heading", name="Sent")).to_be_visible()
    page.keyboard.type("gi")
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    page.keyboard.type("gc")  # leads nowhere, so its last stroke stands for itself
    expect(page.get_by_label("Subject")).to_be_visible()


def test_ones_own_key_is_heard_and_told_everywhere(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.goto("/keys/")
    page.get_by_label("Star", exact=True).fill("e")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Star", exact=True)).to_have_attribute("aria-invalid", "true")
    photograph("keys-wrong")
    page.get_by_label("Star", exact=True).fill("t")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. Your keys are the same")).to_be_visible()
    photograph("keys")

    page.goto("/")
    page.keyboard.press("o")
    star = page.get_by_role("button", name="Star")
    expect(star).to_have_attribute("title", "Star (t)")
    expect(star).to_have_attribute("aria-keyshortcuts", "t")
    page.keyboard.press("s")
    expect(star).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("t")
    expect(star).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog").get_by_role("definition").filter(has_text="t").first).to_be_visible()
    photograph("help")


def test_the_switch_holds_in_every_browser(house: House, page: Page, sign_in: SignIn) -> None:
    sign_in("alice@house.test")
    page.keyboard.press("?")
    page.get_by_label("Single-letter keys are on").uncheck()
    wait_until(lambda: Preferences.objects.filter(single_keys=False).exists())
    page.evaluate("localStorage.clear()")
    page.reload()
    page.wait_for_selector("conversation-list")
    page.keyboard.press("c")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Do or find anything")).to_be_focused()
    expect(page.locator("mail-composer")).to_have_count(0)


def test_keys_are_the_same_on_a_keyboard_in_another_alphabet(
    house: House, page: Page, sign_in: SignIn
) -> None:
    sign_in("alice@house.test")
    cyrillic = (
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'с', code: 'KeyC', bubbles: true}))"
    )
    page.evaluate(cyrillic)
    expect(page.get_by_label("Subject")).to_be_visible()
