"""What an agent and an admin see of mail that came back: the line in the conversation, the list, and the way out."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.mailboxes.models import Folder
from apps.mailboxes.services import move_sender_copy
from apps.outbound.bounces.suppressions import suppress
from apps.outbound.models import Delivery, DeliveryState, SuppressionReason
from tests.bounced import came_back
from tests.outbound.sending import send
from tests.people import House
from tests.polling import wait_until
from tests.telling import tell_senders

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_bounce_stands_in_its_conversation(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[[str], None]
) -> None:
    submitted = send(
        house.as_alice,
        "Elena Marsh <elena@customer.example>",
        cc=("ben@customer.example", "carla@slow.example"),
        text="Hello Elena,\nwe have sent the refund today.\n",
    )
    Delivery.objects.filter(recipient="ben@customer.example").update(
        state=DeliveryState.SENT, due_at=None, reason="Accepted by mx.customer.example: 250 2.0.0 Ok"
    )
    waiting = Delivery.objects.filter(recipient="carla@slow.example")
    waiting.update(state=DeliveryState.DEFERRED, reason="451 4.7.1 Greylisted, please come back")
    move_sender_copy(submitted.message, Folder.SENT)
    came_back(house, Delivery.objects.get(recipient="elena@customer.example"))
    waiting.update(expires_at=timezone.now())
    assert tell_senders() == 2

    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/sent/{submitted.message.thread_id}/")
    expect(page.get_by_role("region", name="Not delivered")).to_contain_text("there is no such address")
    expect(page.get_by_role("region", name="Still waiting")).to_contain_text("Greylisted")
    expect(page.get_by_role("link", name="Its report")).to_be_visible()
    photograph("conversation-bounced")


def test_an_admin_finds_and_removes_a_suppression(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[[str], None]
) -> None:
    now = timezone.now()
    for address, reason, evidence in (
        ("gone@customer.example", SuppressionReason.HARD_BOUNCE, "550 5.1.1 User unknown"),
        ("angry@customer.example", SuppressionReason.COMPLAINT, "Feedback-Type: abuse"),
        ("enough@customer.example", SuppressionReason.UNSUBSCRIBED, ""),
    ):
        suppress(house.organisation.pk, address, reason, now=now, evidence=evidence)
    sign_in("admin@house.test")
    page.get_by_role("link", name="Suppressions").click()
    expect(page.get_by_text("angry@customer.example")).to_be_visible()
    photograph("suppressions")

    page.get_by_role("main").get_by_label("Address", exact=True).fill("no address")
    page.get_by_role("button", name="Suppress").click()
    expect(page.get_by_role("alert").filter(has_text="This is no address")).to_be_visible()
    page.get_by_role("main").get_by_label("Address", exact=True).fill("new@customer.example")
    page.get_by_role("button", name="Suppress").click()
    expect(page.get_by_text("new@customer.example")).to_be_visible()

    page.get_by_label("Search addresses").fill("gone")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("angry@customer.example")).to_have_count(0)
    page.get_by_role("button", name="Remove gone@customer.example").press("Enter")
    expect(page.get_by_text("gone@customer.example is written to again")).to_be_visible()
    wait_until(lambda: not page.locator(".item").count())
