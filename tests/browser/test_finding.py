"""Finding and handling: searches with suggestions, ticked rows, labels, snoozing, views, long lists."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from apps.mailboxes.labels import create_label, put_label
from apps.mailboxes.models import Folder, Label, MailboxEntry, SavedView, Snooze
from apps.tickets.models import Ticket
from tests.arrivals import arrive
from tests.people import House
from tests.polling import wait_until

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]
Photograph = Callable[..., None]
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PEOPLE = (
    "Elena Marsh <elena@customer.example>",
    "Tomas Lind <tomas@lind.example>",
    "Zoë Ade <zoe@ade.example>",
)


def fill(house: House, count: int) -> None:
    for n in range(count):
        arrive(
            house.support,
            sender=PEOPLE[n % len(PEOPLE)],
            subject=f"Order {n:03} is late",
            message_id=f"n{n}@x.example",
            at=NOW + timedelta(minutes=n),
        )


def in_folder(folder: Folder) -> int:
    return MailboxEntry.objects.filter(folder=folder).count()


def test_suggestions_are_walked_by_keyboard_and_what_was_found_is_marked(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    fill(house, 4)
    sign_in("alice@house.test")
    page.keyboard.press("/")
    field = page.get_by_role("combobox", name="Search House Support")
    expect(page.get_by_role("option").first).to_contain_text("from:")
    photograph("search-operators")
    page.keyboard.type("from:el")
    option = page.get_by_role("option", name="Elena Marsh")
    expect(option).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(option).to_have_attribute("aria-selected", "true")
    photograph("search-suggestions")
    page.keyboard.press("Enter")
    expect(field).to_have_value("from:elena@customer.example ")
    page.keyboard.type("late")
    page.keyboard.press("Enter")
    expect(page.locator(".row")).to_have_count(2)
    expect(page.locator(".row .subj mark").first).to_have_text("late")
    expect(page.locator(".row .who mark").first).to_have_text("Elena")
    expect(page.locator(".understood .chip").first).to_have_text("from elena@customer.example")
    photograph("search-found")


def test_what_was_not_understood_is_told(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/?q=is:purple before:soon colour:red")
    expect(page.get_by_text("“is:purple” says nothing here")).to_be_visible()
    expect(page.get_by_text("Nothing found")).to_be_visible()
    photograph("search-not-understood")


def test_rows_are_ticked_archived_and_brought_back_by_one_undo(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    fill(house, 6)
    sign_in("alice@house.test")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.locator(".row").nth(3).locator("[data-picks]").click(modifiers=["Shift"])
    expect(page.locator("[data-picked]")).to_have_text("4 selected")
    photograph("picked")
    page.get_by_role("button", name="Archive", exact=True).click()
    expect(page.locator(".row:visible")).to_have_count(2)
    expect(page.get_by_text("Archived: 4 conversations")).to_be_visible()
    wait_until(lambda: in_folder(Folder.ARCHIVE) == 4)
    photograph("archived-many")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".row:visible")).to_have_count(6)
    wait_until(lambda: in_folder(Folder.INBOX) == 6)


def test_a_refused_change_of_many_is_rolled_back_in_plain_sight(
    house: House, page: Page, sign_in: SignIn
) -> None:
    fill(house, 3)
    sign_in("alice@house.test")
    page.locator("#pick-all").check()
    page.route("**/handle/", lambda route: route.fulfill(status=422, body=""))
    page.get_by_role("button", name="Mark read").click()
    expect(page.get_by_text("That did not work")).to_be_visible()
    expect(page.locator(".row.unread")).to_have_count(3)


def test_all_of_a_long_folder_are_handled_at_once(house: House, page: Page, sign_in: SignIn) -> None:
    fill(house, 60)
    sign_in("alice@house.test")
    page.locator("#pick-all").check()
    page.get_by_role("button", name="Select all 60").click()
    expect(page.locator("[data-picked]")).to_have_text("60 selected")
    page.keyboard.press("e")
    wait_until(lambda: Ticket.objects.filter(state="solved").count() == 60)
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: Ticket.objects.filter(state="open").count() == 60)


def test_a_label_is_made_where_it_is_needed(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    fill(house, 3)
    put_label(
        house.support,
        list(MailboxEntry.objects.values_list("thread_id", flat=True))[:2],
        create_label(house.as_alice, "VIP", "purple"),
    )
    sign_in("admin@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/")
    page.keyboard.press("j")
    page.keyboard.press("l")
    page.get_by_placeholder("Find or make a label").fill("Refund due")
    page.get_by_role("radio", name="Red").check()
    photograph("label-sheet")
    page.get_by_role("button", name="Make the label “Refund due”").click()
    expect(page.locator(".row").first.locator(".label", has_text="Refund due")).to_be_visible()
    wait_until(lambda: Label.objects.filter(name="Refund due").exists())
    photograph("labels")
    colours = page.locator(".row .label").evaluate_all(
        "all => all.map(one => getComputedStyle(one).backgroundColor)"
    )
    assert len(set(colours)) == 2, "purple twice, and red"
    page.reload()
    page.get_by_role("link", name="Refund due", exact=True).click()
    expect(page.locator(".row")).to_have_count(1)
    photograph("found-by-label")
    page.get_by_role("link", name="Labels and views").click()
    page.locator("summary", has_text="VIP").click()
    page.get_by_text("Delete this label").locator("visible=true").click()
    expect(page.get_by_text("It is on 2 conversations")).to_be_visible()
    photograph("labels-and-views")
    page.get_by_role("button", name="Delete “VIP”").click()
    expect(page.get_by_text("taken from 2 conversations")).to_be_visible()
    assert not Label.objects.filter(name="VIP").exists()


def test_a_conversation_is_snoozed_by_key_and_waits_in_its_folder(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    fill(house, 2)
    sign_in("alice@house.test")
    page.keyboard.press("j")
    page.keyboard.press("b")
    sheet = page.get_by_text("Tomorrow morning")
    expect(sheet).to_be_visible()
    photograph("snooze-sheet")
    sheet.click()
    expect(page.locator(".row:visible")).to_have_count(1)
    wait_until(lambda: Snooze.objects.count() == 1)
    page.goto(f"/m/{house.support.pk}/snoozed/")
    expect(page.locator(".row time.until")).to_be_visible()
    photograph("snoozed")
    page.locator(".row > a").click()
    expect(page.locator("#about")).to_contain_text("Comes back")


def test_a_search_is_kept_as_a_view_and_removed(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    fill(house, 3)
    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/?q=from:elena")
    page.get_by_role("button", name="Keep this search as a view").click()
    page.get_by_label("Name of the view").fill("Elena’s orders")
    photograph("keep-view")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_role("heading", level=2, name="Elena’s orders")).to_be_visible()
    expect(page.get_by_role("link", name="Elena’s orders")).to_have_attribute("aria-current", "page")
    photograph("view")
    page.get_by_role("button", name="Remove this view").click()
    page.locator("#sheet-view").get_by_role("button", name="Remove this view").click()
    expect(page.get_by_role("link", name="Elena’s orders")).to_have_count(0)
    assert not SavedView.objects.exists()


def test_back_and_reload_find_the_same_place_and_row(house: House, page: Page, sign_in: SignIn) -> None:
    fill(house, 160)
    sign_in("alice@house.test")
    wanted = page.locator(".row", has_text="Order 040")
    scroll_to(page, "Order 040")
    wanted.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Order 040 is late")
    before = wanted.bounding_box()
    assert before is not None
    page.reload()
    expect(wanted).to_be_in_viewport()
    page.go_back()
    expect(page.get_by_text("Choose a conversation")).to_be_visible()
    expect(wanted).to_be_in_viewport()
    after = wanted.bounding_box()
    assert after is not None
    assert abs(after["y"] - before["y"]) < 90
    wanted.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Order 040 is late")
    page.keyboard.press("u")
    expect(wanted.get_by_role("link")).to_be_focused()
    expect(wanted).to_be_in_viewport()


def test_a_long_list_keeps_few_rows_in_the_document(house: House, page: Page, sign_in: SignIn) -> None:
    fill(house, 420)
    sign_in("alice@house.test")
    scroll_to(page, "Order 000")
    wait_until(lambda: page.locator(".row").count() < 320)
    expect(page.locator(".gap").first).to_be_attached()
    page.evaluate("document.querySelector('#list .scroll').scrollTop = 0")
    expect(page.locator(".row", has_text="Order 419")).to_be_in_viewport()
    numbers = page.locator(".row .subj").all_text_contents()
    assert len(numbers) == len(set(numbers))
    assert [re.sub(r"\D", "", one) for one in numbers[:50]] == [f"{n:03}" for n in range(419, 369, -1)]


def test_rows_that_are_out_of_the_document_are_selected_and_put_away_like_the_others(
    house: House, page: Page, sign_in: SignIn
) -> None:
    fill(house, 300)
    sign_in("alice@house.test")
    page.locator("[data-picks]").first.click()
    scroll_to(page, "Order 000")
    expect(page.locator(".gap").first).to_be_attached()
    page.locator(".row", has_text="Order 000").locator("[data-picks]").click(modifiers=["Shift"])
    expect(page.locator("[data-picked]")).to_have_text("300 selected")
    page.get_by_role("button", name="Archive", exact=True).click()
    wait_until(lambda: in_folder(Folder.ARCHIVE) == 300)
    page.evaluate("document.querySelector('#list .scroll').scrollTop = 0")
    expect(page.locator(".gap")).to_have_count(0)
    expect(page.locator(".row:visible")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: in_folder(Folder.INBOX) == 300)
    expect(page.locator(".row:visible", has_text="Order 299")).to_be_visible()


def scroll_to(page: Page, subject: str) -> None:
    """Scroll on until the row is there, as a person would."""
    row = page.locator(".row", has_text=subject)

    def found() -> bool:
        page.evaluate(
            "{ const box = document.querySelector('#list .scroll'); box.scrollTop = box.scrollHeight; }"
        )
        return row.count() > 0

    wait_until(found, 30)
    row.scroll_into_view_if_needed()
