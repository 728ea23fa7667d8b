"""What a page looks like while something is not as it should be: the line is lost, the session is over, nothing is to
be seen, an answer is late, the server is in trouble.
"""

from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError
from playwright.sync_api import FilePayload, Page, Route, WebSocketRoute, expect

from apps.mailboxes.models import MailboxEntry
from apps.outbound.models import Delivery
from apps.webmail import shell
from apps.webmail.views import troubles
from apps.writing.models import Draft, DraftFile
from tests.arrivals import arrive
from tests.people import PASSWORD, House
from tests.polling import wait_until

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]
Photograph = Callable[..., None]


def test_a_line_that_does_not_come_back_is_said_on_every_page(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    sign_in("alice@house.test")
    page.route_web_socket("**/live/", lambda line: line.close(code=1013))
    page.goto("/notifications/")
    said = page.get_by_role("status").filter(has_text="Reconnecting. New mail may be late")
    expect(said).to_be_visible()
    page.goto("/")
    expect(said).to_be_visible()
    photograph("reconnecting")


def test_who_is_signed_out_elsewhere_signs_in_again_and_what_they_wrote_goes_out(
    *, house: House, page: Page, sign_in: SignIn, photograph: Photograph, foreseen: set[int]
) -> None:
    foreseen.add(401)
    arrive(house.support)
    sign_in("alice@house.test")
    page.keyboard.press("o")
    page.get_by_label("Your answer").fill("It is on its way.")
    Session.objects.all().delete()
    page.keyboard.press("Control+Enter")
    dialog = page.get_by_role("dialog", name="You are signed out")
    expect(dialog.get_by_label("Address")).to_have_value("alice@house.test")
    expect(dialog.get_by_label("Password")).to_be_focused()
    photograph("signed-out")
    page.keyboard.type("not hers")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("do not fit together")
    assert not Delivery.objects.exists()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("#messages section.msg").last).to_contain_text("undo window")
    assert Delivery.objects.count() == 1
    expect(page.locator("body")).to_have_attribute("data-connection", "live")


def test_who_would_not_sign_in_yet_keeps_the_page_and_is_told(
    *, house: House, page: Page, sign_in: SignIn, photograph: Photograph, foreseen: set[int]
) -> None:
    foreseen.add(401)
    arrive(house.support)
    sign_in("alice@house.test")
    page.keyboard.press("o")
    page.get_by_label("Your answer").fill("Half a thought")
    expect(page.get_by_text("Draft kept")).to_be_visible()
    Session.objects.all().delete()
    page.get_by_label("Your answer").press("End")
    page.keyboard.type("!")
    dialog = page.get_by_role("dialog", name="You are signed out")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_label("Your answer")).to_have_text("Half a thought!")
    page.reload()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Address").fill("alice@house.test")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Your answer")).to_have_text("Half a thought!")


def test_a_page_goes_on_after_its_person_signed_in_anew_in_another_tab(
    house: House, page: Page, sign_in: SignIn, foreseen: set[int]
) -> None:
    foreseen.add(403)
    arrive(house.support)
    sign_in("alice@house.test")
    page.route_web_socket("**/live/", lambda line: None)  # the line would find out first
    page.reload()
    page.keyboard.press("o")
    page.wait_for_selector("#conversation")
    other = page.context.new_page()
    other.goto("/")
    other.get_by_role("button", name="Sign out").click()
    other.get_by_label("Address").fill("alice@house.test")
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    other.wait_for_selector("conversation-list")
    page.keyboard.press("Shift+U")
    wait_until(lambda: MailboxEntry.objects.filter(mailbox=house.support, is_read=False).exists())


def test_a_file_goes_on_after_its_person_signed_in_anew_in_another_tab(
    house: House, page: Page, sign_in: SignIn, foreseen: set[int]
) -> None:
    foreseen.add(403)
    arrive(house.support)
    sign_in("alice@house.test")
    page.keyboard.press("o")
    page.get_by_label("Your answer").fill("Half a thought")
    expect(page.get_by_text("Draft kept")).to_be_visible()
    wait_until(Draft.objects.exists)
    page.evaluate("document.querySelector('meta[name=csrf-token]').content = 'x'.repeat(64)")
    page.locator("input[type=file]").set_input_files(
        FilePayload(name="plan.txt", mimeType="text/plain", buffer=b"by train")
    )
    wait_until(lambda: DraftFile.objects.filter(blob__isnull=False).exists(), 20)


def test_signing_in_again_opens_one_line(
    house: House, page: Page, sign_in: SignIn, foreseen: set[int]
) -> None:
    foreseen.add(401)
    sign_in("alice@house.test")
    lines: list[WebSocketRoute] = []

    def connect(line: WebSocketRoute) -> None:
        lines.append(line)
        line.connect_to_server()

    page.route_web_socket("**/live/", connect)
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-connection", "live")
    Session.objects.all().delete()
    lines.pop().close(code=4401)
    page.get_by_role("dialog", name="You are signed out").get_by_label("Password").fill(PASSWORD)
    with page.expect_response(lambda answer: answer.url.endswith("/session/") and answer.ok):
        page.keyboard.press("Enter")
    expect(page.locator("body")).to_have_attribute("data-connection", "live")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert len(lines) == 1


def test_what_is_not_for_one_says_so_and_leads_back(
    *, house: House, page: Page, sign_in: SignIn, photograph: Photograph, foreseen: set[int]
) -> None:
    foreseen.update({403, 404})
    sign_in("alice@house.test")
    page.goto("/erasures/")
    expect(page.get_by_role("heading", level=1)).to_have_text("For admins")
    expect(page.get_by_text("Only an admin may see or ask for erasures.")).to_be_visible()
    expect(page.get_by_role("navigation", name="Mailboxes")).to_be_visible()
    photograph("no-permission")
    page.goto(f"/m/{house.bobs.pk}/inbox/")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    photograph("not-found")
    page.get_by_role("link", name="To the mail").click()
    page.wait_for_selector("conversation-list")


def test_an_answer_that_is_late_has_its_place_kept(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    late: list[Route] = []
    in_time: list[bool] = []

    def hold(route: Route) -> None:
        if in_time:
            route.continue_()
        else:
            late.append(route)

    page.route("**/inbox/*/", hold)
    page.locator(".row > a").click()
    page.wait_for_selector("#reading[data-loading]")
    expect(page.locator("#reading")).to_have_attribute("aria-busy", "true")
    photograph("loading")
    in_time.append(True)
    for one in late:
        one.continue_()
    expect(page.get_by_role("heading", level=1)).to_have_text("Invoice 20931 charged twice")
    expect(page.locator("#reading[data-loading]")).to_have_count(0)


@pytest.mark.parametrize(
    ("trouble", "status", "words"),
    [
        (OperationalError("the server closed the connection"), 503, "Not right now"),
        (ValueError("a bug"), 500, "Something went wrong"),
    ],
    ids=["503", "500"],
)
def test_trouble_of_the_server_is_told_without_it(
    *,
    house: House,
    page: Page,
    sign_in: SignIn,
    photograph: Photograph,
    foreseen: set[int],
    monkeypatch: pytest.MonkeyPatch,
    trouble: Exception,
    status: int,
    words: str,
) -> None:
    foreseen.add(status)
    sign_in("alice@house.test")

    def fail(*_whatever: object) -> None:
        raise trouble

    monkeypatch.setattr(shell, "rail_of", fail)
    answer = page.goto("/held/")
    assert answer is not None
    assert answer.status == status
    expect(page.get_by_role("heading", name=words)).to_be_visible()
    photograph(f"trouble-{status}")


def test_what_the_server_will_not_take_is_told_alike(
    page: Page, house: House, photograph: Photograph, foreseen: set[int]
) -> None:
    foreseen.update({400, 403, 413})
    page.goto("/sign-in/")
    page.evaluate("document.querySelector('[name=csrfmiddlewaretoken]').value = 'x'")
    page.get_by_label("Address").fill("alice@house.test")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="This page is too old")).to_be_visible()
    photograph("trouble-403")
    page.route("**/large", lambda route: route.fulfill(status=413, body=troubles.too_large_page()))
    page.goto("/large")
    expect(page.get_by_role("heading", name="That is too large")).to_be_visible()
    photograph("trouble-413")
