"""Files looked at in a dialog, by hand and by keyboard; a mail's head; paper."""

import re
from collections.abc import Callable

import pytest
from django.conf import settings
from playwright.sync_api import Page, Route, expect

from tests.arrivals import arrive
from tests.people import House
from tests.pictures import picture
from tests.webmail.test_files import mail_with
from tests.webmail.test_previews import zipped

pytestmark = pytest.mark.browser

CONTRACT = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 5 0 R/Resources<</Font<</F 6 0 R>>>>>>endobj\n"
    b"4 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\n"
    b"5 0 obj<</Length 49>>stream\nBT /F 28 Tf 72 720 Td (Contract for one lamp) Tj ET\nendstream endobj\n"
    b"6 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n"
)
FILES = {
    "kitchen.png": ("image/png", picture(size=(1400, 900), colour="darkkhaki")),
    "contract.pdf": ("application/pdf", CONTRACT),
    "prices.csv": ("text/csv", b"Lamp,Price,Sold\nNorth,129.00,14\nSouth,89.50,3\n"),
    "error.log": ("text/plain", b"12:00 started\n12:01 <b>lamp</b> went out\n"),
    "photos.zip": ("application/zip", zipped({"one.jpg": b"x" * 4000, "deep/two.jpg": b"y" * 90})),
}


def test_every_kind_of_file_is_seen_in_its_place(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[..., None]
) -> None:
    message = arrive(house.support, mail_with(FILES, "Files"))
    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/{message.thread_id}/")
    page.get_by_title("Open the picture").click()
    dialog = page.get_by_role("dialog")
    whole = dialog.get_by_alt_text("kitchen.png")
    expect(whole).to_be_visible()
    assert whole.evaluate("async image => { await image.decode(); return image.naturalWidth }") == 1400
    photograph("preview-picture")
    expect(dialog.locator(".preview-body")).to_be_focused()
    page.keyboard.press("ArrowRight")
    first = dialog.get_by_alt_text("Page 1", exact=True)
    assert first.evaluate("async image => { await image.decode(); return image.naturalWidth }") == 1400
    photograph("preview-pdf")
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("columnheader", name="Price")).to_be_visible()
    photograph("preview-table")
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_text("<b>lamp</b> went out")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("cell", name="deep/two.jpg")).to_be_visible()
    photograph("preview-archive")
    expect(dialog.get_by_title("The next file")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="prices.csv").first.click()
    expect(dialog.get_by_role("cell", name="89.50")).to_be_visible()
    with page.expect_download() as saved:
        dialog.get_by_role("link", name="Save").click()
    assert saved.value.suggested_filename == "prices.csv"


def tell_instead_of_printing(route: Route) -> None:
    """What a browser would print is told by the title of the frame around it; the dialog itself waits for a person."""
    answer = route.fetch(headers={**route.request.headers, "sec-fetch-dest": "iframe"})
    body = answer.text()
    assert body.count("frame.contentWindow.print()") == 1
    told = body.replace("frame.contentWindow.print()", "document.title = frame.contentDocument.title")
    route.fulfill(response=answer, body=told)


def test_the_head_is_read_and_the_mail_is_printed(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[..., None]
) -> None:
    message = arrive(house.support, mail_with(FILES, "Files"))
    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/{message.thread_id}/")
    page.locator(".of-message > summary").click()
    page.get_by_role("button", name="All of its head").click()
    expect(page.get_by_role("dialog").get_by_text("multipart/mixed")).to_be_visible()
    photograph("head")
    page.keyboard.press("Escape")
    page.route(re.compile(r"[?&]now="), tell_instead_of_printing)
    page.keyboard.press("Shift+P")
    printing = page.frame_locator("#printing")
    expect(printing.frame_locator("iframe").get_by_text("contract.pdf")).to_be_attached()
    around = next(one for one in page.frames if "now=" in one.url)
    around.wait_for_function("document.title === 'Files'")
    page.locator(".of-message > summary").click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Print", exact=True).click(modifiers=["ControlOrMeta"])
    paper = opened.value
    paper.wait_for_load_state()
    assert paper.url.startswith(settings.CONTENT_ORIGIN)
    expect(paper.get_by_text("Print this page with Ctrl+P")).to_be_visible()
    paper.emulate_media(media="print")
    expect(paper.get_by_text("Print this page with Ctrl+P")).to_be_hidden()
    expect(paper.get_by_text("contract.pdf")).to_be_visible()
