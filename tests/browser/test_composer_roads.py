"""Roads through the composer that few take each day: plain text, undo, a newer message, a window that died."""

from collections.abc import Callable

import pytest
from playwright.sync_api import FilePayload, Page, expect

from apps.mailboxes.models import Message
from apps.mailboxes.selectors import raw_of
from apps.outbound.models import Delivery, DeliveryState
from apps.writing.models import Draft, DraftFile
from tests.arrivals import arrive
from tests.people import House
from tests.polling import wait_until

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]
Photograph = Callable[..., None]


def test_plain_text_stays_plain_until_one_turns_back_and_undo_brings_everything_back(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    sign_in("alice@house.test")
    page.goto("/compose/")
    page.wait_for_selector(".written")
    page.get_by_role("button", name="Plain text").click()
    expect(page.locator(".written")).to_have_count(0)
    page.reload()
    plain = page.get_by_role("button", name="Plain text")
    expect(plain).to_have_attribute("aria-pressed", "true")
    page.get_by_label("To", exact=True).fill("elena@customer.example")
    page.get_by_label("Subject").fill("The ferry")
    page.get_by_label("Text", exact=True).fill("It leaves at *nine*.")
    photograph("compose-plain")
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Subject")).to_have_value("The ferry")
    expect(page.get_by_label("Text", exact=True)).to_have_value("It leaves at *nine*.")
    raw = raw_of(Message.objects.get())
    assert b"text/html" not in raw
    assert Delivery.objects.get().state == DeliveryState.CANCELLED
    page.get_by_role("button", name="Plain text").click()
    expect(page.locator(".written")).to_have_text("It leaves at *nine*.")


def test_a_message_that_came_while_one_wrote_is_told_before_the_answer_leaves(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.locator(".row > a").click()
    page.wait_for_selector("#conversation")
    page.keyboard.press("r")
    expect(page.locator(".written")).to_be_focused()
    page.keyboard.type("On its way.")
    newer = {"In-Reply-To": "<first@customer.example>"}
    arrive(house.support, text="Never mind!", message_id="newer@customer.example", headers=newer)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Elena Marsh wrote in this conversation while you did.")).to_be_visible()
    photograph("reminder-newer")
    page.keyboard.press("Escape")
    expect(page.locator(".written")).to_be_focused()
    assert not Message.objects.filter(author=house.alice).exists()


def test_what_was_typed_survives_a_window_that_dies_before_the_server_heard_of_it(
    house: House, page: Page, sign_in: SignIn
) -> None:
    sign_in("alice@house.test")
    page.goto("/compose/")
    page.wait_for_selector(".written")
    # The server hears nothing any more: what is found again is what this browser has.
    page.route("**/drafts/**", lambda _route: None)
    page.get_by_label("Subject").fill("The ferry")
    wait_until(
        lambda: page.evaluate("Object.values(localStorage).some((kept) => kept.includes('The ferry'))")
    )
    assert not Draft.objects.exists()
    page.unroute("**/drafts/**")
    page.goto("/compose/")
    expect(page.get_by_label("Subject")).to_have_value("The ferry")
    page.get_by_label("Text", exact=True).fill("It leaves at nine.")
    wait_until(lambda: Draft.objects.filter(snippet="It leaves at nine.").exists())


def test_a_file_that_did_not_get_through_is_sent_again_at_a_press(
    *, house: House, page: Page, sign_in: SignIn, photograph: Photograph, foreseen: set[int]
) -> None:
    foreseen.add(503)
    sign_in("alice@house.test")
    page.goto("/compose/")
    page.wait_for_selector(".written")
    page.route("**/drafts/**", lambda route: route.fulfill(status=503, body=""))
    page.locator("input[type=file]").set_input_files(
        FilePayload(name="report.bin", mimeType="application/octet-stream", buffer=b"x" * 3_000)
    )
    chip = page.locator("[data-files] .file")
    expect(chip).to_contain_text("It did not get through.")
    photograph("compose-file-stuck")
    page.unroute("**/drafts/**")
    page.get_by_role("button", name="Try again to send report.bin").click()
    expect(chip).to_contain_text("3 kB")
    wait_until(lambda: DraftFile.objects.filter(blob__isnull=False).count() == 1)
    expect(page.get_by_role("button", name="Try again to send report.bin")).to_have_count(0)
