"""Files of a mail as an agent sees them: pictures in small, a warning beside what is not what it says."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.arrivals import arrive
from tests.people import House
from tests.pictures import bomb_png, photograph_held_upright, picture, windows_program
from tests.webmail.test_files import mail_with

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_pictures_are_shown_in_small_and_a_disguise_is_told_of(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[[str], None]
) -> None:
    files = {
        "kitchen before.jpg": ("image/jpeg", photograph_held_upright()),
        "a very long name of a screenshot that was taken at noon.png": (
            "image/png",
            picture(size=(1200, 700)),
        ),
        "receipt.webp": ("image/webp", picture(kind="WEBP", colour="goldenrod", size=(300, 700))),
        "bomb.png": ("image/png", bomb_png()),
        "invoice.pdf": ("application/pdf", windows_program()),
        "contract.pdf": ("application/pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
    }
    message = arrive(house.support, mail_with(files, "Pictures of the damage"))
    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/{message.thread_id}/")
    expect(page.get_by_text("It is called invoice.pdf, but it is a Windows program.")).to_be_visible()
    # The bomb stands beside them with a drawing of ours until a refresh; from then on it is a file like any other.
    for name in (
        "kitchen before.jpg",
        "a very long name of a screenshot that was taken at noon.png",
        "receipt.webp",
    ):
        image = page.locator(".pictures").get_by_alt_text(name)
        image.evaluate("one => one.scrollIntoView()")
        expect(image).to_have_js_property("complete", True)  # noqa: FBT003 - Playwright's
        assert image.evaluate("image => image.naturalWidth") > 0
    photograph("attachments")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download all 6 files").click()
    assert saved.value.suggested_filename == "Pictures of the damage.zip"
    with page.context.expect_page() as opened:
        page.get_by_title("Open the picture").first.click(modifiers=["ControlOrMeta"])
    opened.value.wait_for_load_state()
    assert opened.value.evaluate("document.images[0].naturalWidth") > 0
