"""The newcomer's walk: sign in, watch a mail arrive, read it, answer it, undo once, send, see it leave."""

import re
import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import FilePayload, Page, WebSocketRoute, expect

from apps.events.notices import group_of_mailbox, quiet_ms
from apps.outbound.models import Delivery, DeliveryState
from apps.tickets.models import Mention
from apps.webmail.views import writing
from tests.arrivals import arrive
from tests.outbound.sending import drain
from tests.people import House
from tests.polling import wait_until
from tests.remote.server import RemoteServer

pytestmark = [pytest.mark.browser, pytest.mark.sampled]

SignIn = Callable[[str], None]
Photograph = Callable[..., None]

ANSWER = "Hello Elena, the second charge is on its way back to you."


def work(relay: RemoteServer) -> int:
    """One drain, on a loop of its own, for this thread's belongs to the browser; how many mails have left."""
    worker = threading.Thread(target=drain)
    worker.start()
    worker.join(timeout=20)
    assert not worker.is_alive()
    return len(relay.messages)


def test_the_newcomers_walk(
    *,
    house: House,
    relay: RemoteServer,
    page: Page,
    sign_in: SignIn,
    photograph: Photograph,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page.goto("/")
    photograph("sign-in")
    sign_in("alice@house.test")
    expect(page.get_by_text("Write to support@house.test")).to_be_visible()
    photograph("first-run")

    arrive(house.support)
    row = page.locator(".row", has_text="Invoice 20931 charged twice")
    expect(row).to_be_visible()
    expect(row).to_have_class(re.compile(r"\bunread\b"))
    photograph("arrived")

    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Invoice 20931 charged twice")
    expect(page.locator("#about")).to_contain_text("#1")
    expect(page.locator("#messages")).to_contain_text("our card was charged twice")
    expect(row).not_to_have_class(re.compile(r"\bunread\b"))
    photograph("reading")

    page.keyboard.press("r")
    page.keyboard.type(ANSWER)
    page.locator("input[type=file]").set_input_files(
        FilePayload(name="refund.pdf", mimeType="application/pdf", buffer=b"%PDF-1.4 refund")
    )
    photograph("writing")
    page.get_by_label("Your answer").press("Escape")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.keyboard.press("r")
    page.keyboard.press("Control+Enter")
    truth = page.locator(".truth li", has_text="elena@customer.example")
    expect(truth).to_contain_text("undo window")
    photograph("undo-window")

    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Your answer")).to_have_text(ANSWER)
    expect(page.locator("[data-files]")).to_contain_text("refund.pdf")
    wait_until(lambda: Delivery.objects.get().state == DeliveryState.CANCELLED)
    expect(truth).to_have_count(0)

    monkeypatch.setattr(writing, "UNDO_SECONDS", 1)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_label("Your answer")).to_have_text("")
    expect(
        page.get_by_role("heading", level=1)
    ).to_be_focused()  # the next key is a command, and not a letter
    wait_until(lambda: bool(work(relay)), 20)
    expect(page.locator('.truth li[data-state="sent"]', has_text="elena@customer.example")).to_be_visible()
    photograph("sent")

    assert relay.taken_by_recipient == {"elena@customer.example": 1}
    assert b"refund.pdf" in relay.messages[0].content
    expect(page.locator("#about")).to_contain_text("Waiting for the customer")


def test_a_colleagues_note_appears_without_moving_what_one_writes(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.keyboard.press("j")
    page.keyboard.press("o")
    page.get_by_role("tab", name="Note").click()
    page.keyboard.type("half a thou")
    before = page.get_by_label("Your note").bounding_box()
    arrive(house.support, subject="Another one", message_id="second@customer.example")
    expect(page.get_by_role("button", name="1 new conversation")).to_be_visible()
    assert page.get_by_label("Your note").bounding_box() == before
    page.keyboard.type("ght")
    expect(page.get_by_label("Your note")).to_have_value("half a thought")
    photograph("pill")
    # A colleague is called by the keyboard alone: of those who see the mailbox, and not oneself.
    page.keyboard.type(", @hou")
    expect(page.get_by_role("option")).to_have_text([re.compile("Admin House"), re.compile("Bob House")])
    photograph("colleagues")
    page.keyboard.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)
    page.keyboard.type("s")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Your note")).to_have_attribute("aria-activedescendant", "note-people-1")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your note")).to_have_value("half a thought, @Bob House ")
    page.get_by_role("button", name="Add note").click()
    expect(page.locator("section.note")).to_contain_text("half a thought")
    assert [one.user for one in Mention.objects.select_related("user")] == [house.bob]
    page.get_by_role("button", name="1 new conversation").click()
    expect(page.locator(".row")).to_have_count(2)


def test_what_was_typed_survives_a_reload(house: House, page: Page, sign_in: SignIn) -> None:
    sign_in("alice@house.test")
    page.keyboard.press("c")
    page.get_by_label("Subject").fill("Half written")
    page.wait_for_selector(".written")
    page.get_by_label("Text", exact=True).fill("I was about to say")
    expect(page.get_by_text("Draft kept")).to_be_visible()
    page.goto("/compose/")
    expect(page.get_by_label("Subject")).to_have_value("Half written")
    expect(page.get_by_label("Text", exact=True)).to_have_text("I was about to say")


def test_a_wrong_address_is_said_at_its_field_and_the_text_stays(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    sign_in("alice@house.test")
    page.keyboard.press("c")
    page.get_by_label("To", exact=True).fill("elena@customer.example, not an address")
    page.wait_for_selector(".written")
    page.get_by_label("Text", exact=True).fill("Hello")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator('[data-wrong="to"]')).to_be_visible()
    expect(page.get_by_label("To", exact=True)).to_be_focused()
    expect(page.get_by_label("Text", exact=True)).to_have_text("Hello")
    assert not Delivery.objects.exists()
    photograph("wrong-address")


def test_a_lost_line_is_said_and_heals(
    *, house: House, page: Page, sign_in: SignIn, photograph: Photograph, foreseen: set[int]
) -> None:
    foreseen.add(0)
    sign_in("alice@house.test")
    expect(page.locator("body")).to_have_attribute("data-connection", "live")
    page.context.set_offline(True)
    expect(page.get_by_text("You are offline.")).to_be_visible()
    photograph("offline", sizes=(1440,))
    arrive(house.support)
    page.context.set_offline(False)
    expect(page.locator(".row")).to_have_count(1)


def test_a_page_is_fetched_anew_only_for_what_came_after_it_was_asked_for(
    house: House, page: Page, sign_in: SignIn
) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    expect(page.locator("body")).to_have_attribute("data-connection", "live")
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-connection", "live")
    arrive(house.support, message_id="second@customer.example", subject="While it is shown")
    expect(page.locator(".row")).to_have_count(2)
    assert len([url for url in fetched if url.endswith("/rows/")]) == 1

    held: list[WebSocketRoute] = []

    def hold(line: WebSocketRoute) -> None:
        held.append(line)

    page.route_web_socket("**/live/", hold)
    page.reload()
    wait_until(lambda: page.title() and held)
    arrive(house.support, message_id="third@customer.example", subject="Before the line")
    wait_until(lambda: quiet_ms([group_of_mailbox(house.support.pk)]) < 1000)
    held[0].connect_to_server()
    expect(page.locator(".row")).to_have_count(3)
