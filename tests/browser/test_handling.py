"""Keys, buttons, panes: what one does all day, and that everything has a name."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.mailboxes.models import Folder, MailboxEntry
from apps.tickets.models import Ticket, TicketState
from tests.arrivals import arrive
from tests.people import House
from tests.polling import wait_until

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]

NAMELESS = """() => [...document.querySelectorAll("button, a[href], input:not([type=hidden]), select, textarea")]
  .filter(element => element.checkVisibility())
  .filter(element => !(element.getAttribute("aria-label") || element.title || element.innerText?.trim()
    || element.textContent.trim() || element.labels?.length))
  .map(element => element.outerHTML.slice(0, 120))"""


def test_keys_move_open_solve_and_archive(house: House, page: Page, sign_in: SignIn) -> None:
    arrive(house.support, subject="The first", message_id="one@x.example")
    arrive(house.support, subject="The second", message_id="two@x.example")
    sign_in("alice@house.test")
    page.keyboard.press("j")
    expect(page.locator(".row > a").first).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", level=1)).to_have_text("The first")
    page.keyboard.press("e")
    expect(page.locator("#about")).to_contain_text("Solved")
    assert Ticket.objects.get(subject="The first").state == TicketState.SOLVED
    page.keyboard.press("s")
    expect(page.get_by_role("button", name="Star")).to_have_attribute("aria-pressed", "true")

    page.get_by_role("button", name="Archive").click()
    expect(page.locator(".row")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text("The second")
    wait_until(lambda: MailboxEntry.objects.filter(folder=Folder.ARCHIVE).count() == 1)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".row")).to_have_count(2)
    wait_until(lambda: not MailboxEntry.objects.filter(folder=Folder.ARCHIVE).exists())


def test_what_the_server_refuses_comes_back_in_plain_sight(house: House, page: Page, sign_in: SignIn) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.keyboard.press("o")
    page.wait_for_selector("#conversation")
    page.route("**/move/", lambda route: route.fulfill(status=422, body=""))
    page.keyboard.press("#")
    expect(page.get_by_text("That did not work")).to_be_visible()
    expect(page.locator(".row:visible")).to_have_count(1)


def test_marking_unread_gives_the_dot_back(house: House, page: Page, sign_in: SignIn) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.keyboard.press("o")
    wait_until(lambda: MailboxEntry.objects.get().is_read)
    figure = page.locator('#rail [data-live^="inbox-"]')
    expect(figure).to_have_text("")
    page.keyboard.press("Shift+U")
    expect(page.locator(".row.unread")).to_have_count(1)
    expect(figure).to_have_text("1")
    wait_until(lambda: not MailboxEntry.objects.get().is_read)


def test_letters_are_letters_while_one_types_and_keys_can_be_switched_off(
    house: House, page: Page, sign_in: SignIn
) -> None:
    sign_in("alice@house.test")
    page.keyboard.press("/")
    page.keyboard.type("c?")
    expect(page.get_by_role("combobox", name="Search House Support")).to_have_value("c?")
    page.get_by_role("combobox", name="Search House Support").blur()
    page.keyboard.press("?")
    page.get_by_label("Single-letter keys are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    expect(page.locator("mail-composer")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_one_pane_at_a_time_on_a_phone(
    house: House, page: Page, sign_in: SignIn, photograph: Callable[..., None]
) -> None:
    arrive(house.support)
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in("alice@house.test")
    expect(page.locator("#reading")).to_be_hidden()
    page.get_by_role("button", name="Mailboxes").click()
    expect(page.get_by_role("link", name="Archive")).to_be_visible()
    photograph("drawer", sizes=(360,))
    page.set_viewport_size({"width": 360, "height": 740})
    page.keyboard.press("Escape")
    page.locator(".row > a").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("#list")).to_be_hidden()
    page.get_by_role("link", name="Back to the list").click()
    expect(page.locator(".row > a")).to_be_visible()
    expect(page.locator("#reading")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_back_and_forward_find_the_same_places(house: House, page: Page, sign_in: SignIn) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.locator(".row > a").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Choose a conversation")).to_be_visible()
    page.go_forward()
    expect(page.get_by_role("heading", level=1)).to_have_text("Invoice 20931 charged twice")
    page.keyboard.press("r")
    expect(page.get_by_label("Your answer")).to_be_focused()


def test_search_finds_and_the_list_scrolls_on(house: House, page: Page, sign_in: SignIn) -> None:
    for n in range(60):
        arrive(house.support, subject=f"Mail number {n}", message_id=f"n{n}@x.example")
    sign_in("alice@house.test")
    expect(page.locator(".row")).to_have_count(50)
    page.locator(".row").last.scroll_into_view_if_needed()
    expect(page.locator(".row")).to_have_count(60)
    page.keyboard.press("/")
    page.keyboard.type("number 42")
    page.keyboard.press("Enter")
    expect(page.locator(".row")).to_have_count(1)


@pytest.mark.parametrize("path", ["/", "/compose/", "/outbox/", "/errors/", "/queue/"])
def test_everything_one_can_use_has_a_name(
    house: House, page: Page, sign_in: SignIn, photograph: Callable[..., None], path: str
) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.goto(path)
    if path == "/":
        page.locator(".row > a").click()
        page.wait_for_selector("#conversation")
    assert page.evaluate(NAMELESS) == []
    photograph(path.strip("/") or "conversation")


def test_everybody_is_answered_by_a_button_and_by_a_key(house: House, page: Page, sign_in: SignIn) -> None:
    arrive(house.support, headers={"Cc": "Petra Lang <petra@contoso.example>, no-reply@contoso.example"})
    sign_in("alice@house.test")
    page.keyboard.press("o")
    page.get_by_role("button", name="Everybody").click()
    expect(page.locator('[name="cc"]')).to_have_value("Petra Lang <petra@contoso.example>")
    expect(page.get_by_text("Not written to, because")).to_contain_text(
        "support@house.test, no-reply@contoso.example"
    )
    page.reload()
    page.wait_for_selector("#conversation")
    page.keyboard.press("a")
    expect(page.locator('[name="cc"]')).to_have_value("Petra Lang <petra@contoso.example>")
    expect(page.get_by_label("Your answer")).to_be_focused()
