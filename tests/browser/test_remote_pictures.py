"""Pictures from elsewhere and colours, as an agent chooses them; and that a choice shows before the server knows."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest
from django.conf import settings as configured
from playwright.sync_api import Page, Route, expect
from pytest_django import Settings

from apps.mailboxes.models import MailboxEntry
from tests.arrivals import arrive
from tests.fetching.far_server import FarServer, far_server
from tests.people import House
from tests.pictures import picture

pytestmark = pytest.mark.browser


@pytest.fixture
def far(settings: Settings) -> Iterator[FarServer]:
    settings.FETCH_ALLOWED_NETWORKS = (ip_network("127.0.0.0/8"),)
    with far_server() as one:
        yield one


def newsletter(far: FarServer) -> bytes:
    lamp = far.serve("/lamp.png", picture(size=(560, 240), colour="steelblue"))
    ground = far.serve("/ground.png", picture(size=(40, 40), colour="wheat"))
    html = (
        f'<table width="600" cellpadding="16" style="background: #f4f4f4 url({ground})"><tr><td>'
        f'<h2 style="color: #223">New lamps for the spring</h2><img src="{lamp}" alt="A lamp" width="560">'
        '<p style="color: #333">Warm light, honest prices. <a href="https://shop.example/">See them all</a></p>'
        f'</td></tr></table><img src="{far.url("/open.gif")}" width="1" height="1">'
    )
    head = "From: Lamps & More <news@shop.example>\r\nTo: support@house.test\r\nSubject: New lamps\r\n"
    return f"{head}Content-Type: text/html; charset=utf-8\r\n\r\n{html}".encode()


def test_pictures_are_shown_when_asked_for_and_through_us_alone(
    house: House, page: Page, far: FarServer, sign_in: Callable[[str], None], photograph: Callable[..., None]
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    message = arrive(house.support, newsletter(far))
    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/{message.thread_id}/")
    expect(page.get_by_text("1 tracking pixel was left out.")).to_be_visible()
    frame = page.frame_locator("iframe.paper")
    expect(frame.get_by_text("New lamps for the spring")).to_be_visible()
    photograph("pictures-held")
    assert far.asked == []
    page.get_by_role("button", name="Show pictures").click()
    lamp = frame.get_by_alt_text("A lamp")
    expect(lamp).to_be_visible()
    assert lamp.evaluate("async image => { await image.decode(); return image.naturalWidth }") == 560
    expect(page.get_by_text("Pictures are shown.")).to_be_visible()
    photograph("pictures-shown")
    assert {one.path for one in far.asked} == {"/lamp.png", "/ground.png"}
    ours = (configured.WEB_ORIGIN, configured.CONTENT_ORIGIN, "data:")
    assert [url for url in asked if not url.startswith(ours)] == []


def test_a_choice_shows_at_once_and_is_taken_back_when_the_server_says_no(
    house: House, page: Page, far: FarServer, sign_in: Callable[[str], None]
) -> None:
    message = arrive(house.support, newsletter(far))
    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/{message.thread_id}/")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/look/", hold)
    frame = page.locator("iframe.paper")
    expect(frame).to_be_visible()
    page.get_by_role("button", name="Show pictures").click()
    assert "pictures=shown" in frame.evaluate("frame => frame.src")
    while not held:
        page.wait_for_timeout(20)
    held[0].fulfill(status=422, json={})
    expect(page.locator(".toast")).to_contain_text("was not done")
    assert "pictures=shown" not in frame.evaluate("frame => frame.src")
    page.unroute("**/look/")


def test_a_sender_is_trusted_and_asked_for_again(
    house: House, page: Page, far: FarServer, sign_in: Callable[[str], None]
) -> None:
    message, other = (arrive(house.support, newsletter(far)) for _n in range(2))
    MailboxEntry.objects.update(is_read=True)
    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/{message.thread_id}/")
    other_row = page.locator(f"#row-{other.thread_id} > a")
    with page.expect_response(f"**/inbox/{other.thread_id}/"):
        other_row.hover()
    page.get_by_role("button", name="Always from this sender").click()
    expect(page.locator(".toast")).to_contain_text("will be shown from now on")
    # Fetched before the choice, and opened after it.
    other_row.click()
    expect(page.locator("#conversation")).to_have_attribute("data-thread", str(other.thread_id))
    expect(page.get_by_role("button", name="Only when I ask")).to_be_visible()
    later = arrive(house.support, newsletter(far))
    page.goto(f"/m/{house.support.pk}/inbox/{later.thread_id}/")
    expect(page.frame_locator("iframe.paper").get_by_alt_text("A lamp")).to_be_visible()
    page.get_by_role("button", name="Only when I ask").click()
    expect(page.get_by_role("button", name="Show pictures")).to_be_visible()


def test_colours_are_adapted_to_the_dark_scheme_and_stay_so(
    house: House, page: Page, far: FarServer, sign_in: Callable[[str], None], photograph: Callable[..., None]
) -> None:
    message = arrive(house.support, newsletter(far))
    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/{message.thread_id}/")
    expect(page.get_by_role("button", name="Adapt colours")).to_be_hidden()
    page.emulate_media(color_scheme="dark")
    page.get_by_role("button", name="Show pictures").click()
    expect(page.get_by_text("Pictures are shown.")).to_be_visible()
    page.get_by_role("button", name="Adapt colours").click()
    expect(page.get_by_role("button", name="Its own colours")).to_be_visible()
    page.reload()
    body = page.frame_locator("iframe.paper").locator("html")
    assert "invert" in body.evaluate("html => getComputedStyle(html).filter")
    photograph("colours-adapted")


def test_a_page_from_before_a_choice_does_not_take_it_back(
    house: House, page: Page, far: FarServer, sign_in: Callable[[str], None]
) -> None:
    message = arrive(house.support, newsletter(far))
    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/{message.thread_id}/")
    expect(page.locator("body[data-connection=live]")).to_be_attached()
    old: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if old:
            route.continue_()
            return
        old.append(route)

    page.route(lambda url: url.endswith(f"/inbox/{message.thread_id}/"), hold_the_first)
    page.evaluate("document.dispatchEvent(new CustomEvent('mail:changed', {detail: {mailbox: null}}))")
    while not old:
        page.wait_for_timeout(20)
    before = old[0].fetch()
    page.get_by_role("button", name="Always from this sender").click()
    expect(page.get_by_role("button", name="Only when I ask")).to_be_visible()
    with page.expect_response(lambda answer: answer.url.endswith(f"/inbox/{message.thread_id}/")):
        old[0].fulfill(response=before)
    expect(page.get_by_role("button", name="Only when I ask")).to_be_visible()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("button", name="Only when I ask")).to_be_visible()
