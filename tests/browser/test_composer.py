"""The composer: what one types with it, what is kept of it, and what leaves."""

import re
from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import FilePayload, Page, expect

from apps.mailboxes.models import Message
from apps.mailboxes.selectors import raw_of
from apps.mime.parse import parse
from apps.writing.models import Correspondent, Draft, DraftFile, DraftState, SavedReply
from apps.writing.phrases import keep_saved_reply, keep_signature
from tests.arrivals import arrive
from tests.browser.pasting import paste_html, paste_picture
from tests.people import House
from tests.pictures import picture
from tests.polling import wait_until
from tests.writing.documents import document

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]
Photograph = Callable[..., None]


def test_an_answer_is_written_with_the_editor_and_leaves_as_text_and_html(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.locator(".row > a").click()
    page.wait_for_selector("#conversation")
    page.keyboard.press("r")
    written = page.get_by_role("textbox", name="Your answer")
    expect(page.locator(".written")).to_be_focused()
    page.keyboard.type("Dear Elena, ")
    page.keyboard.press("Control+b")
    page.keyboard.type("it is mended")
    page.keyboard.press("Control+b")
    page.keyboard.press("Enter")
    page.keyboard.type("- one")
    page.keyboard.press("Enter")
    page.keyboard.type("two")
    expect(written.locator("li")).to_have_count(2)
    wait_until(lambda: Draft.objects.filter(state=DraftState.OPEN).count() == 1)
    expect(page.get_by_text("Draft kept")).to_be_visible()
    photograph("answer-rich")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Sending to 1 recipient")).to_be_visible()
    sent = Message.objects.get(author=house.alice)
    raw = raw_of(sent)
    assert b"<strong>it is mended</strong>" in raw
    assert b'<blockquote type=3D"cite"' in raw or b'<blockquote type="cite"' in raw
    assert parse(raw).text.startswith("Dear Elena, it is mended\n\n- one\n- two\n\nOn ")
    assert Draft.objects.get().state == DraftState.SENT


def test_a_new_mail_floats_over_the_list_and_follows_from_page_to_page(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.keyboard.press("c")
    dock = page.get_by_role("region", name="New mail")
    page.get_by_label("To", exact=True).fill("tomas@customer.example, nonsense, ")
    page.get_by_label("Subject").fill("The ferry")
    page.wait_for_selector(".written")
    page.get_by_label("Text", exact=True).fill("It leaves at nine.")
    expect(page.get_by_text("Draft kept")).to_be_visible()
    wait_until(lambda: Draft.objects.filter(fields__subject="The ferry").exists())
    photograph("dock", sizes=(1440,))
    page.get_by_role("link", name="Archive", exact=True).click()
    page.wait_for_url("**/archive/")
    expect(dock.get_by_label("Subject")).to_have_value("The ferry")
    expect(dock.locator(".written")).to_have_text("It leaves at nine.")
    dock.get_by_role("button", name="Full width").click()
    expect(page.locator("#reading").get_by_label("Subject")).to_have_value("The ferry")
    expect(dock).to_be_hidden()
    photograph("compose-whole")
    page.get_by_role("link", name="Drafts").click()
    expect(page.locator("#drafts")).to_contain_text("The ferry")
    photograph("drafts")


def test_what_another_device_wrote_is_kept_beside_what_one_types(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    sign_in("alice@house.test")
    page.goto("/compose/")
    page.get_by_label("Subject").fill("The ferry")
    wait_until(lambda: Draft.objects.count() == 1)
    expect(page.get_by_text("Draft kept")).to_be_visible()
    # A phone has taken the draft over since.
    draft = Draft.objects.get()
    Draft.objects.filter(pk=draft.pk).update(
        version=9, editor="phone", fields=draft.fields | {"subject": "The bridge"}, document=None
    )
    page.get_by_label("Subject").fill("The ferry at nine")
    expect(page.get_by_text("changed elsewhere")).to_be_visible()
    photograph("draft-conflict")
    wait_until(lambda: Draft.objects.filter(state=DraftState.OPEN).count() == 2)
    page.get_by_role("button", name="Take the other one").click()
    expect(page.get_by_label("Subject")).to_have_value("The bridge")


def test_a_draft_is_written_on_elsewhere_and_thrown_away_with_undo(
    house: House, page: Page, sign_in: SignIn
) -> None:
    sign_in("alice@house.test")
    page.goto("/compose/")
    page.get_by_label("Subject").fill("The ferry")
    page.wait_for_selector(".written")
    page.get_by_label("Text", exact=True).fill("It leaves at nine.")
    wait_until(lambda: Draft.objects.filter(snippet="It leaves at nine.").exists())
    expect(page.get_by_text("Draft kept")).to_be_visible()
    # Another device: nothing of it is in this browser.
    page.evaluate("localStorage.clear()")
    page.goto("/drafts/")
    page.get_by_role("link", name="The ferry").click()
    expect(page.locator(".written")).to_have_text("It leaves at nine.")
    page.get_by_role("button", name="Discard the draft").click()
    expect(page.get_by_label("Subject")).to_have_value("")
    wait_until(lambda: Draft.objects.get().state == DraftState.DISCARDED)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Subject")).to_have_value("The ferry")
    wait_until(lambda: Draft.objects.get().state == DraftState.OPEN)


def test_people_are_completed_by_the_keyboard_alone(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    for name, address in (
        ("Elena Marsh", "elena@customer.example"),
        ("Elias Berg", "elias@customer.example"),
    ):
        Correspondent.objects.create(
            organisation=house.organisation,
            mailbox=house.support,
            name=name,
            address=address,
            last_at=timezone.now(),
        )
    sign_in("alice@house.test")
    page.goto("/compose/")
    to = page.get_by_label("To", exact=True)
    to.focus()
    page.keyboard.type("eli")
    expect(page.locator(".suggested [role=option]")).to_have_count(1)
    page.keyboard.press("Backspace")
    expect(page.locator(".suggested [role=option]")).to_have_count(2)
    photograph("people")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.type("el")
    expect(page.locator(".suggested [role=option]")).to_have_count(1)
    page.keyboard.press("Enter")
    field = page.locator('[name="to"]')
    expect(field).to_have_value(re.compile("Elias Berg <elias@.*>, Elena Marsh <elena@.*>|Elena.*Elias.*"))
    page.keyboard.press("Backspace")
    page.keyboard.press("Delete")
    expect(page.locator(".person")).to_have_count(1)


def test_a_saved_reply_is_put_in_by_its_key_and_a_reminder_answered_with_another(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    arrive(house.support)
    words = "Dear {{customer.first_name}}, please find it attached."
    keep_saved_reply(
        house.as_alice,
        name="Sent along",
        document=document(words),
        mailbox=None,
        row=None,
        now=timezone.now(),
    )
    keep_signature(house.as_alice, house.support, document("House Support"), is_own=False, now=timezone.now())
    sign_in("alice@house.test")
    page.locator(".row > a").click()
    page.wait_for_selector("#conversation")
    page.keyboard.press("r")
    expect(page.locator(".written")).to_be_focused()
    page.keyboard.type(";")
    expect(page.get_by_role("option")).to_contain_text("Sent along")
    photograph("saved-replies")
    page.keyboard.press("Enter")
    expect(page.locator(".written")).to_have_text("Dear Elena, please find it attached.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("button", name="Send anyway")).to_be_focused()
    photograph("reminder")
    assert not Message.objects.filter(author=house.alice).exists()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Sending to 1 recipient")).to_be_visible()
    assert "-- \nHouse Support" in parse(raw_of(Message.objects.get(author=house.alice))).text


def test_a_picture_is_dropped_into_the_text_and_files_say_how_far_they_are(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    sign_in("alice@house.test")
    page.goto("/compose/")
    page.get_by_label("To", exact=True).fill("elena@customer.example")
    page.wait_for_selector(".written")
    page.get_by_label("Text", exact=True).fill("See: ")
    paste_picture(page, picture(size=(320, 120)))
    expect(page.locator(".written img[data-cid]")).to_be_visible()
    page.locator("input[type=file]").set_input_files(
        FilePayload(name="report.bin", mimeType="application/octet-stream", buffer=b"x" * 3_000_000)
    )
    expect(page.locator("[data-files]")).to_contain_text("report.bin")
    wait_until(lambda: DraftFile.objects.filter(blob__isnull=False).count() == 2)
    photograph("compose-files")
    page.reload()
    expect(page.locator(".written img[data-cid]")).to_have_js_property("naturalWidth", 320)
    expect(page.locator("[data-files]")).to_contain_text("report.bin")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Sending to 1 recipient")).to_be_visible()
    raw = raw_of(Message.objects.get())
    assert b"multipart/related" in raw
    assert b"report.bin" in raw


def test_what_is_pasted_keeps_its_table_and_loses_its_tricks(
    house: House, page: Page, sign_in: SignIn
) -> None:
    sign_in("alice@house.test")
    page.goto("/compose/")
    page.get_by_label("To", exact=True).fill("elena@customer.example")
    page.locator(".written").click()
    paste_html(
        page,
        """<style>p{color:red}</style><p style="color:red" onclick="x()">Prices</p>
        <img src="https://tracker.example/a.gif"><script>alert(1)</script>
        <table><tr><th>Room</th><td style="width:9px">7</td></tr></table>""",
    )
    expect(page.locator(".written td")).to_have_text("7")
    expect(page.locator(".written img[data-cid]")).to_have_count(0)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Sending to 1 recipient")).to_be_visible()
    raw = raw_of(Message.objects.get()).decode().replace("=\r\n", "")
    assert "tracker" not in raw
    assert "red" not in raw
    assert "Room | 7" in parse(raw_of(Message.objects.get())).text


def test_signatures_and_saved_replies_have_a_page(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    sign_in("alice@house.test")
    page.goto("/phrases/")
    page.get_by_label("Name").fill("Thanks")
    page.locator("rich-text:visible .written").fill("Thank you, {{customer.first_name}}.")
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_text("The saved reply is kept.")).to_be_visible()
    photograph("phrases")
    assert SavedReply.objects.get().name == "Thanks"
