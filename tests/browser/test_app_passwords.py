"""App passwords in a real browser."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.people import House


def test_a_member_makes_a_password_and_takes_it_back(
    page: Page, house: House, sign_in: Callable[[str], None], photograph: Callable[..., None]
) -> None:
    sign_in("alice@house.test")
    page.get_by_role("link", name="App passwords").click()
    expect(page.get_by_text("No app password")).to_be_visible()
    page.get_by_role("button", name="Make", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Name the program or device")
    page.get_by_label("For which program or device").fill("Thunderbird on my laptop")
    page.get_by_label("To send from").select_option("support@house.test")
    page.get_by_label("To send from").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("The password for Thunderbird on my laptop")
    photograph("app-password-made")
    right_edges = (
        "[...document.querySelectorAll('#app-passwords *')].map(one => one.getBoundingClientRect().right)"
    )
    page.set_viewport_size({"width": 360, "height": 740})
    assert max(page.evaluate(right_edges)) <= 360
    page.set_viewport_size({"width": 1440, "height": 900})
    page.reload()
    expect(page.locator("#words-1")).to_have_count(0)
    photograph("app-passwords")
    page.get_by_role("button", name="Revoke Thunderbird on my laptop").click()
    expect(page.get_by_text("can send nothing more")).to_be_visible()
