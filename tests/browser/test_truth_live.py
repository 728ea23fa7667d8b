"""Under a sent mail each recipient's state changes while one looks, and its story is one click away."""

import re
from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.outbound.models import Delivery
from tests.browser.test_going_out import drain_elsewhere
from tests.outbound.sending import send
from tests.people import House
from tests.remote.script import Phase, defer, refuse
from tests.remote.server import RemoteServer

pytestmark = pytest.mark.browser


def test_each_recipients_state_changes_under_the_mail_while_one_looks(
    *,
    house: House,
    relay: RemoteServer,
    page: Page,
    sign_in: Callable[[str], None],
    photograph: Callable[..., None],
) -> None:
    relay.play(Phase.RCPT, defer(), recipient="tomas@greylist.example", times=1)
    relay.play(Phase.RCPT, refuse(), recipient="elenna@customer.example")
    sent = send(
        house.as_alice,
        "fine@customer.example",
        "tomas@greylist.example",
        "elenna@customer.example",
        subject="Your booking for June",
    )
    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/outbox/")
    page.locator(".row > a").click()

    fine, tomas, elenna = (
        page.locator(".truth li", has_text=one)
        for one in ("fine@customer", "tomas@greylist", "elenna@customer")
    )
    expect(tomas).to_have_attribute("data-state", "queued")
    drain_elsewhere()
    expect(fine).to_have_attribute("data-state", "sent")
    expect(tomas).to_have_attribute("data-state", "deferred")
    expect(tomas).to_contain_text("451")
    expect(elenna).to_contain_text("550")
    photograph("truth-deferred-and-bounced")
    Delivery.objects.filter(recipient="tomas@greylist.example").update(due_at=timezone.now())
    drain_elsewhere()
    expect(tomas).to_have_attribute("data-state", "sent")
    photograph("truth-taken")
    tomas.get_by_role("link", name="tomas@greylist.example").click()
    expect(page).to_have_url(re.compile(f"/messages/{sent.message.pk}/story/#delivery-"))
    told = page.locator("section", has=page.get_by_role("heading", name="tomas@greylist.example"))
    expect(told).to_contain_text("Attempt 2")
