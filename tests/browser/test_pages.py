"""Every page beside the mailboxes: reached from the rail by who may, named, one column at 360 px, nothing nameless."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.outbound.clocks import kept
from apps.outbound.models import Delivery
from tests.browser.test_handling import NAMELESS
from tests.outbound.sending import send
from tests.people import House

pytestmark = [pytest.mark.browser, pytest.mark.sampled]

FOR_ALL = [
    "Held",
    "Trusted senders",
    "Outbox",
    "Error queue",
    "Suppressions",
    "Mailbox settings",
    "App passwords",
]
FOR_ADMINS = ["Queue", "Relays", "Domains", "Erasure"]
# What reaches beyond the edge of the window, as far as one could see it.
BEYOND_THE_EDGE = """() => [...document.querySelectorAll("main *")]
  .filter(one => one.checkVisibility() && !one.closest(".sr, .scroll-x"))
  .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
  .map(one => one.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize(
    ("email", "pages"),
    [("admin@house.test", [*FOR_ALL, *FOR_ADMINS]), ("alice@house.test", FOR_ALL)],
    ids=["admin", "agent"],
)
def test_every_page_stands_in_the_rail_and_fits_a_phone(
    *,
    house: House,
    page: Page,
    sign_in: Callable[[str], None],
    photograph: Callable[..., None],
    email: str,
    pages: list[str],
) -> None:
    sign_in(email)
    rail = page.get_by_role("navigation", name="Mailboxes")
    for name in FOR_ADMINS:
        expect(rail.get_by_role("link", name=name, exact=True)).to_have_count(int(name in pages))
    for name in pages:
        rail.get_by_role("link", name=re.compile(rf"^{name}\b")).last.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(rail.locator('> .nav[aria-current="page"]')).to_contain_text(name)
        assert page.evaluate(NAMELESS) == []
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate(BEYOND_THE_EDGE) == []
        page.set_viewport_size({"width": 1440, "height": 900})
        if name == "Mailbox settings":
            photograph(f"mailbox-settings-{email.partition('@')[0]}")


def test_the_queue_names_what_holds_it_up_on_the_readers_clock(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[..., None]
) -> None:
    send(house.as_alice, "karl@big.example", "rosa@big.example", subject="Invoice 20931")
    noon = timezone.now().replace(hour=12, minute=0, second=0)
    Delivery.objects.update(
        state="deferred",
        cause="relay_limit",
        reason=f"Relay mail-1 allows 30 messages a minute; 30 were sent since {kept(noon)}.",
        due_at=timezone.now() + timedelta(minutes=7),
    )
    sign_in("alice@house.test")
    page.goto("/queue/")
    held = page.locator(".item", has_text="Our limit for the relay")
    # To the second while the day lasts; with the day, and to the minute, once it is over.
    expect(held).to_contain_text(re.compile(r"30 were sent since .*\b1[34]:00(:00)? CE"))
    expect(held).not_to_contain_text("UTC")
    # One figure for one thing: the rail, the health card and the page.
    expect(page.locator('#rail [data-live="waiting"]')).to_have_text("2")
    expect(page.locator("#rail .health")).to_contain_text("2 waiting")
    expect(page.locator(".kpis .card").first).to_contain_text("2")
    photograph("queue-held-up")
    held.get_by_role("link").click()
    expect(page.locator(".item", has_text="rosa@big.example")).to_be_visible()
