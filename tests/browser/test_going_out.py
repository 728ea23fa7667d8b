"""What is going out, in a browser: a queue stuck for several reasons, errors that are mended, mail for later."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.mailboxes.models import Message
from apps.outbound.bounces.suppressions import add_suppression
from apps.outbound.errors import SubmissionInvalid
from apps.outbound.models import Delivery, DeliveryState, RefusedSubmission
from apps.outbound.submission.submit import SubmittedAttachment
from tests.browser.conftest import SCREENSHOTS
from tests.browser.test_handling import NAMELESS
from tests.outbound.sending import drain, send
from tests.people import House
from tests.polling import wait_until
from tests.remote.script import Phase, defer, hang_up, refuse
from tests.remote.server import RemoteServer

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]
Photograph = Callable[..., None]
OVERFLOWS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def drain_elsewhere() -> None:
    """In a thread, because Playwright keeps an event loop in this one."""

    def work() -> None:
        drain()
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()


def put_off(cause: str, reason: str, *recipients: str) -> None:
    Delivery.objects.filter(recipient__in=recipients).update(
        state=DeliveryState.DEFERRED,
        cause=cause,
        reason=reason,
        due_at=timezone.now() + timedelta(minutes=7),
        attempts_made=2,
    )


@pytest.fixture
def stuck(house: House, relay: RemoteServer) -> RemoteServer:
    """A queue that waits for three reasons at once, and for a person."""
    relay.play(Phase.RCPT, refuse(), recipient="elenna@customer.example")
    relay.play(Phase.RCPT, defer(), recipient="tomas@greylist.example")
    relay.play(Phase.DOT, hang_up(after_taking=True), recipient="lost@line.example")
    people = [f"guest{n}@hotel.example" for n in range(12)]
    send(
        house.as_alice,
        "elenna@customer.example",
        "tomas@greylist.example",
        "lost@line.example",
        "fine@customer.example",
        subject="Your booking for June",
    )
    drain_elsewhere()
    send(house.as_alice, *people, subject="The pool is open again", priority="bulk")
    put_off("relay_unavailable", "smtp.relay.example did not answer: connection refused", *people)
    send(house.as_alice, "karl@big.example", "rosa@big.example", subject="Invoice 20931")
    words = (
        "big.example takes 30 messages a minute from us: 421 4.7.28 rate limited, try again in 300 seconds"
    )
    put_off("provider_limit", words, "karl@big.example", "rosa@big.example")
    send(house.as_alice, "later@customer.example", subject="Happy birthday", send_at=tomorrow())
    with pytest.raises(SubmissionInvalid):
        send(
            house.as_alice,
            "elena@customer.example",
            "tomas(at)customer.example",
            subject="Two keys for room 7",
            text="Please find the plan attached.",
            attachments=(SubmittedAttachment("plan.pdf", "application/pdf", b"%PDF-1.7" * 300),),
        )
    return relay


def tomorrow() -> object:
    return timezone.now() + timedelta(days=1)


def test_an_outbox_that_is_stuck_for_three_reasons_says_each(
    stuck: RemoteServer, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    sign_in("alice@house.test")
    page.goto("/outbox/")
    for words in ("Our relay does not take them", "Put off by the recipients", "The provider’s limit"):
        expect(page.get_by_role("link", name=words)).to_be_visible()
    assert page.evaluate(NAMELESS) == []
    photograph("outbox")
    page.set_viewport_size({"width": 360, "height": 740})
    assert not page.evaluate(OVERFLOWS)
    page.set_viewport_size({"width": 1440, "height": 900})

    page.locator("#cause-relay_unavailable").get_by_role("button", name="Try all now").click()
    expect(page.get_by_text("Trying 12 recipients now")).to_be_visible()
    expect(page.locator("#cause-relay_unavailable")).to_have_count(0)
    assert Delivery.objects.filter(state=DeliveryState.QUEUED).count() == 12


def test_one_waiting_recipient_is_rescheduled_and_taken_back_by_keys_alone(
    stuck: RemoteServer, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    sign_in("alice@house.test")
    page.goto("/outbox/?cause=schedule")
    row = page.locator(".item", has_text="later@customer.example").last
    row.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(row.get_by_label("At another time")).to_be_visible()
    photograph("outbox-menu", sizes=(1440, 360))
    page.keyboard.press("Escape")
    expect(row.get_by_label("At another time")).to_be_hidden()
    row.locator("summary").focus()
    page.keyboard.press("Enter")
    row.get_by_label("At another time").fill("2026-12-24T18:00")
    row.get_by_role("button", name="Change").click()
    expect(page.get_by_text("Will be sent Thu 24 Dec, 18:00 CET")).to_be_visible()
    wait_until(lambda: Delivery.objects.filter(due_at="2026-12-24T17:00:00Z").count() == 1)
    row.locator("summary").focus()
    page.keyboard.press("Enter")
    row.get_by_role("button", name="Take it back").click()
    expect(page.get_by_text("Not sent to later@customer.example")).to_be_visible()
    wait_until(lambda: Delivery.objects.filter(state=DeliveryState.CANCELLED).count() == 1)


def test_the_error_queue_is_mended_with_nothing_lost(
    stuck: RemoteServer, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    sign_in("alice@house.test")
    page.get_by_role("link", name="Error queue").click()
    expect(page.locator(".item", has_text="elenna@customer.example")).to_contain_text("550")
    refused = page.locator(".item", has_text="Two keys for room 7")
    expect(refused).to_contain_text("tomas(at)customer.example” is no address")
    assert page.evaluate(NAMELESS) == []
    photograph("errors")
    page.set_viewport_size({"width": 360, "height": 740})
    assert not page.evaluate(OVERFLOWS)
    page.set_viewport_size({"width": 1440, "height": 900})

    refused.get_by_role("link", name="Mend").click()
    expect(page.locator('[name="to"]')).to_have_value("elena@customer.example, tomas(at)customer.example")
    expect(page.locator('[data-wrong="to"]')).to_contain_text("no address")
    expect(page.get_by_text("plan.pdf")).to_be_visible()
    assert page.evaluate(NAMELESS) == []
    photograph("mend")
    page.get_by_role("button", name="Remove tomas(at)customer.example").click()
    page.get_by_label("To", exact=True).fill("tomas@customer.example")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Sending to 2 recipients")).to_be_visible()
    message = Message.objects.get(subject="Two keys for room 7")
    assert [part.filename for part in message.parts.all()] == ["plan.pdf"]
    assert not RefusedSubmission.objects.get().is_open


def test_each_failure_offers_first_what_helps_it(
    house: House, relay: RemoteServer, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    relay.play(Phase.RCPT, refuse(), recipient="elenna@customer.example")
    add_suppression(house.as_key, "left@customer.example", evidence="He asked by phone.", now=timezone.now())
    setup = SubmittedAttachment("setup.exe", "application/octet-stream", b"MZ")
    send(house.as_alice, "elenna@customer.example", subject="Your booking for June")
    send(house.as_alice, "left@customer.example", subject="The pool is open again")
    send(house.as_alice, "karl@big.example", subject="The drivers for your printer", attachments=(setup,))
    send(house.as_alice, "rosa@big.example", subject="From a shop", html="<p>Hi</p>", attachments=(setup,))
    send(house.as_alice, "nobody@house.test", subject="Minutes of Monday")
    drain_elsewhere()
    house.support.members.add(house.admin)
    sign_in("admin@house.test")
    page.goto("/errors/")
    for recipient, offered in (
        ("left@customer.example", "Remove the suppression and send"),
        ("karl@big.example", "Edit as new"),
    ):
        row = page.locator(".item", has_text=recipient)
        expect(row.get_by_role("button", name=offered, exact=True)).to_be_visible()
    expect(page.locator(".item", has_text="rosa@big.example")).to_contain_text(
        "change it where it was written"
    )
    for recipient in ("elenna@customer.example", "nobody@house.test"):
        expect(page.locator(".item", has_text=recipient).get_by_text("Change the address")).to_be_visible()
    assert page.evaluate(NAMELESS) == []
    photograph("errors-remedies")
    page.set_viewport_size({"width": 360, "height": 740})
    assert not page.evaluate(OVERFLOWS)
    row = page.locator(".item", has_text="nobody@house.test")
    row.get_by_text("Change the address").click()
    expect(row.get_by_label("Send to another address")).to_be_visible()
    assert not page.evaluate(OVERFLOWS)
    page.screenshot(path=SCREENSHOTS / "errors-readdress-360-light.png")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1440, "height": 900})

    page.locator(".item", has_text="left@customer.example").get_by_role("button", name="Remove the").click()
    expect(page.get_by_text("Trying left@customer.example again")).to_be_visible()
    page.locator(".item", has_text="karl@big.example").get_by_role("button", name="Edit as new").click()
    expect(page.locator('[name="to"]')).to_have_value("karl@big.example")
    expect(page.get_by_label("Subject")).to_have_value("The drivers for your printer")
    expect(page.locator('[data-wrong="files"]')).to_contain_text("setup.exe")
    photograph("edit-as-new")
    page.get_by_role("button", name="Remove setup.exe").click()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Sending to 1 recipient")).to_be_visible()
    again = Message.objects.filter(subject="The drivers for your printer").latest("received_at")
    assert not again.parts.exists()
    page.goto("/errors/")
    expect(page.locator(".item", has_text="rosa@big.example")).to_be_visible()
    expect(page.locator(".item", has_text="karl@big.example")).to_have_count(0)


def test_a_failure_goes_to_another_address_or_off_the_list_and_back(
    stuck: RemoteServer, page: Page, sign_in: SignIn
) -> None:
    sign_in("alice@house.test")
    page.goto("/errors/")
    row = page.locator(".item", has_text="elenna@customer.example")
    row.locator("summary", has_text="More for").click()
    row.get_by_role("button", name="Take off the list").click()
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(row).to_have_count(1)
    row.locator("summary", has_text="Change the address").click()
    row.get_by_label("Send to another address").fill("elena@customer.example")
    row.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Sending to elena@customer.example")).to_be_visible()
    expect(row).to_have_count(0)


def test_a_messages_whole_story_is_told(
    stuck: RemoteServer, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    sign_in("alice@house.test")
    page.goto("/errors/")
    page.locator(".item", has_text="elenna@customer.example").get_by_role("link").first.click()
    told = page.locator("section", has=page.get_by_role("heading", name="fine@customer.example"))
    expect(told).to_contain_text("Attempt 1")
    expect(told).to_contain_text("250")
    expect(told.locator(".phases rect").first).to_be_attached()
    expect(page.get_by_role("table")).to_contain_text("Written to 4 recipients")
    photograph("story")
    page.set_viewport_size({"width": 360, "height": 740})
    assert not page.evaluate(OVERFLOWS)


def test_a_mail_is_written_for_tomorrow_and_not_after_an_answer(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    sign_in("alice@house.test")
    page.keyboard.press("c")
    page.get_by_label("To", exact=True).fill("elena@customer.example")
    page.get_by_label("Subject").fill("Good morning")
    page.wait_for_selector(".written")
    page.get_by_label("Text", exact=True).fill("See you.")
    page.get_by_text("Send later").locator("..").click()
    page.get_by_label("Not if they answer before").check()
    photograph("send-later")
    page.get_by_role("button", name="Tomorrow morning").click()
    expect(page.get_by_text("Will be sent")).to_be_visible()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.cause) == (DeliveryState.SCHEDULED, "schedule")
    assert delivery.cancel_if_replied
    assert delivery.due_at is not None


def test_what_is_wrong_is_marked_and_everything_typed_is_still_there(
    house: House, page: Page, sign_in: SignIn, tmp_path: Path
) -> None:
    file = tmp_path / "plan.txt"
    file.write_text("a plan")
    sign_in("alice@house.test")
    page.keyboard.press("c")
    page.get_by_label("To", exact=True).fill("elena@customer.example, nonsense")
    page.get_by_role("button", name="Cc", exact=True).click()
    page.get_by_label("Cc", exact=True).fill("also nonsense")
    page.wait_for_selector(".written")
    page.get_by_label("Text", exact=True).fill("See you.")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator('[data-wrong="to"]')).to_be_visible()
    expect(page.locator('[data-wrong="cc"]')).to_be_visible()
    expect(page.get_by_label("Text", exact=True)).to_have_text("See you.")
    expect(page.get_by_text("plan.txt")).to_be_visible()
    assert RefusedSubmission.objects.get().files.count() == 1
    page.get_by_role("button", name="Remove nonsense").click()
    page.get_by_role("button", name="Remove also nonsense").click()
    expect(page.locator('[name="to"]')).to_have_value("elena@customer.example")
    expect(page.locator('[name="cc"]')).to_have_value("")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Sending to 1 recipient")).to_be_visible()
    assert not RefusedSubmission.objects.get().is_open
