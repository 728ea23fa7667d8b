"""Held mail in a browser: looked at, released, discarded and brought back, with keys and by the dozen."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.tickets.models import HeldMessage, HeldState, Opinion, SpamMark, Ticket
from tests.arrivals import arrive
from tests.inbound.arriving import take
from tests.mail import raw_mail
from tests.people import House
from tests.polling import wait_until
from tests.screening.files import EICAR, PE, mail_with, zipped

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SPAM_TEXT = (
    "Dear friend,\r\n\r\nyou have been chosen for a refinance offer at only 1.9 percent. Click here today:\r\n"
    "http://pills-and-loans.example/offer?id=20931\r\n\r\nTo be removed, simply reply.\r\n"
)


def hold_four(house: House) -> None:
    take(house, mail_with(("invoice.txt", EICAR)))
    take(
        house,
        mail_with(("holiday photos.zip", zipped({"photo.jpg.exe": PE}))).replace(b"A file", b"Our photos"),
    )
    for n, (cause, sender, subject, reason) in enumerate(
        (
            (
                "spam",
                "Easy Loans <offers@pills-and-loans.example>",
                "You are approved: refinance today",
                "It is much like mail that your team has marked as spam: “refinance”, “click here”, a link to "
                "pills-and-loans.example.",
            ),
            (
                "dmarc_reject",
                "Accounts <billing@bank.example>",
                "Please confirm your new account",
                "It may be forged: bank.example asks everybody to refuse mail that does not prove to be its own.",
            ),
        )
    ):
        row = take(
            house, raw_mail(sender=sender, subject=subject, text=SPAM_TEXT, message_id=f"{n}@x.example")
        )
        held = HeldMessage.objects.create(
            organisation=house.organisation,
            raw=row.raw,
            received_at=row.received_at,
            sender_name=sender.partition(" <")[0],
            sender_address=sender.partition("<")[2].rstrip(">"),
            to=[{"name": "", "address": "support@house.test"}],
            subject=subject,
            preview=SPAM_TEXT,
            size_bytes=row.raw.size_bytes,
            cause=cause,
            reason=reason,
            details=["Score 0.9998, from 212 mails of spam and 1,904 of others.", "word:refinance 99%"]
            if cause == "spam"
            else [],
            authentication={
                "dmarc": {"result": "fail", "reason": "Neither SPF nor a signature is of bank.example."},
                "spf": {
                    "result": "softfail",
                    "reason": "192.0.2.1 is not among the servers of bank.example.",
                },
                "dkim": {"result": "none", "reason": "The mail is not signed."},
            }
            if cause == "dmarc_reject"
            else {
                "dmarc": {
                    "result": "pass",
                    "reason": "A signature is of pills-and-loans.example.",
                    "proven_by": "signature",
                }
            },
            held_at=row.received_at,
        )
        held.mailboxes.add(house.support)


def test_an_agent_looks_through_what_is_held(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[[str], None]
) -> None:
    sign_in("alice@house.test")
    page.get_by_role("link", name="Held").click()
    expect(page.get_by_text("Nothing is held")).to_be_visible()
    photograph("held-empty")
    hold_four(house)
    page.reload()
    expect(page.locator('[data-live="held"]')).to_have_text("4")
    photograph("held")

    page.get_by_role("link", name="Please confirm your new account").click()
    expect(page.get_by_text("Nothing proves who sent it")).to_be_visible()
    photograph("held-one")
    page.get_by_role("link", name="All held mail").click()

    page.get_by_label("Select the mail from Easy Loans").check()
    page.get_by_label("Select the mail from Accounts").check()
    photograph("held-selected")
    page.locator("#several").get_by_role("button", name="Discard").click()
    expect(page.get_by_text("2 mails discarded")).to_be_visible()
    expect(page.locator(".item.held")).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".item.held")).to_have_count(4)

    before = Ticket.objects.count()
    spam = page.locator(".item.held").filter(has_text="You are approved")
    spam.locator("summary").press("Enter")
    spam.get_by_role("button", name="Release, and always trust this sender").press("Enter")
    expect(page.get_by_text("is trusted from now on")).to_be_visible()
    expect(page.locator('[data-live="held"]')).to_have_text("3")
    assert Ticket.objects.count() == before + 1
    page.get_by_role("link", name="Trusted senders").click()
    expect(page.get_by_text("offers@pills-and-loans.example")).to_be_visible()
    page.get_by_label("Address or domain").fill("gmail.com")
    page.get_by_role("button", name="Trust", exact=True).click()
    expect(page.get_by_text("Trust single addresses instead")).to_be_visible()
    photograph("trusted-senders")


def test_an_admin_is_warned_before_a_virus_is_let_in(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[[str], None]
) -> None:
    take(house, mail_with(("invoice.txt", EICAR)))
    sign_in("admin@house.test")
    page.goto("/held/")
    page.locator("summary").filter(has_text="Release").click()
    expect(page.get_by_text("may do harm to their computer")).to_be_visible()
    photograph("held-virus")
    page.get_by_role("button", name="Release it all the same").click()
    expect(page.get_by_text("Released to House Support")).to_be_visible()
    assert HeldMessage.objects.get().state == HeldState.RELEASED


def test_the_key_for_spam_marks_and_unmarks(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[[str], None]
) -> None:
    message = arrive(house.support, subject="Refinance today")
    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/{message.thread_id}/")
    expect(page.get_by_role("heading", name="Refinance today")).to_be_visible()
    page.keyboard.press("!")
    expect(page.get_by_text("Moved to Spam")).to_be_visible()
    wait_until(lambda: SpamMark.objects.filter(opinion=Opinion.SPAM).exists())
    page.goto(f"/m/{house.support.pk}/spam/{message.thread_id}/")
    expect(page.get_by_role("button", name="Not spam")).to_be_visible()
    photograph("conversation-in-spam")
    page.keyboard.press("!")
    expect(page.get_by_text("remembered as no spam")).to_be_visible()
    wait_until(lambda: SpamMark.objects.filter(opinion=Opinion.HAM).exists())
