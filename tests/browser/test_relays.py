"""The relays' pages in a browser: each state told, a test run, a slip mended."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.outbound.models import Relay
from apps.outbound.relays.environment import reconcile_relays
from tests.outbound.sending import QUICK, drain, send
from tests.people import House
from tests.remote.script import Answer, Phase, refuse
from tests.remote.server import RemoteServer

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]
Photograph = Callable[..., None]


def add(house: House, name: str, port: int, **columns: Any) -> Relay:
    usual = {"host": "127.0.0.1", "port": port, "security": "none", "organisation": house.organisation}
    return Relay.objects.create(**{**usual, "name": name, **columns})


def work() -> None:
    """One drain in which a relay that fails twice rests."""
    policy = replace(
        QUICK, relay=replace(QUICK.relay, rests_after=2, rest_seconds=900, rest_ceiling_seconds=900)
    )
    worker = threading.Thread(target=drain, args=[policy])
    worker.start()
    worker.join(timeout=20)
    assert not worker.is_alive()


def test_relays_are_seen_tested_and_mended(
    *, house: House, remote: RemoteServer, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    reconcile_relays(["smtp://mail.backup.example"])
    with RemoteServer() as blocking:
        blocking.play(
            Phase.CONNECT,
            Answer(554, "5.7.1 Your address 203.0.113.7 is blocked: see https://block.example/7"),
        )
        add(house, "Mail provider", blocking.port, priority=1, sender_domains=["house.test"])
        add(house, "Second provider", remote.port, priority=5, weight=3)
        add(house, "Newsletters", remote.port, priority=5, is_active=False, lanes=["bulk"])
        direct = add(house, "Partners", 25, host="", kind="direct", recipient_domains=["*.partner.example"])
        Relay.objects.filter(pk=direct.pk).update(updated_at=timezone.now())
        for n in range(3):
            send(house.as_key, f"c{n}@x.example")
            work()
    remote.play(Phase.RCPT, refuse(550, "5.7.1 relaying denied"))

    sign_in("admin@house.test")
    page.goto("/relays/")
    expect(page.locator("#relays")).to_contain_text("Resting until")
    expect(page.locator("#relays")).to_contain_text("blocked")
    photograph("relays")

    page.get_by_role("link", name="Second provider").click()
    page.get_by_label("Ask about this recipient").fill("elena@x.example")
    page.get_by_role("button", name="Test now").click()
    expect(page.locator("#trial")).to_contain_text("Mail cannot go over it yet.")
    expect(page.locator("#trial")).to_contain_text("550 5.7.1 relaying denied")
    photograph("relay")

    remote.play(Phase.RCPT, refuse(550, "5.1.1 no such user"))
    page.get_by_role("button", name="Test now").click()
    expect(page.locator("#trial")).to_contain_text("Mail can go over it, but not to this recipient.")
    photograph("relay-recipient-refused")

    page.get_by_label("Server", exact=True).fill("no host at all")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("That is not the name of a server.")
    page.get_by_label("Server", exact=True).fill("127.0.0.1")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved")

    page.goto("/relays/new/")
    page.get_by_role("link", name="Direct to the recipients' servers").click()
    expect(page.get_by_role("main").get_by_label("Password")).to_be_hidden()
    photograph("relay-new")
    reconcile_relays([])
