"""Mailbox settings in a browser: an alias refused and added, mail for nobody, what is held."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.mailboxes.models import Domain
from apps.tickets.models import ReceivingPolicy
from tests.people import House

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_admin_settles_what_comes_in(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[[str], None]
) -> None:
    sign_in("admin@house.test")
    page.get_by_role("link", name="Mailbox settings").click()
    support = page.get_by_role("region", name="House Support")

    def add(address: str) -> None:
        support.get_by_label("Another address").fill(address)
        support.get_by_role("button", name="Add").click()

    support.get_by_text("Change its addresses").click()
    add("sales@elsewhere.test")
    expect(support.get_by_text("in a domain that is proven to be yours")).to_be_visible()
    expect(support.get_by_label("Another address")).to_be_focused()
    for address in ("sales@house.test", "help@house.test"):
        add(address)
        expect(page.get_by_text("Added.")).to_be_visible()
        expect(support.get_by_role("definition").first).to_contain_text(address)
        support.get_by_text("Change its addresses").click()
    photograph("mailbox-settings")
    support.get_by_role("button", name="Remove help@house.test").click()
    expect(page.get_by_text("help@house.test is removed.")).to_be_visible()
    assert [one.address for one in house.support.aliases] == ["sales@house.test"]

    nobody = page.get_by_role("region", name="Mail for nobody")
    nobody.get_by_label("house.test").select_option(str(house.support.pk))
    nobody.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert Domain.objects.get(name="house.test").catch_all == house.support

    held = page.get_by_role("region", name="What is held")
    held.get_by_label("Forged senders").select_option("reject_only")
    held.get_by_role("button", name="Save").click()
    expect(held.get_by_label("Forged senders")).to_have_value("reject_only")
    assert ReceivingPolicy.objects.get().dmarc == "reject_only"
