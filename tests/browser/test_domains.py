"""The page Domains in a real browser, before a real name server."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings

from apps.mailboxes.domains import add_domain
from apps.mailboxes.models import Domain
from apps.outbound.domains.tending import setup_of
from apps.outbound.relays.environment import reconcile_relays
from apps.outbound.signing.rotation import activate, create_keys
from tests.outbound.domains.conftest import zone
from tests.people import House
from tests.remote.names import NameServer

__all__ = ["zone"]
BEYOND_THE_EDGE = """
    [...document.querySelectorAll("#setup *")].filter(one => one.getBoundingClientRect().right > innerWidth).length
"""


def kite_of(house: House, zone: NameServer) -> Domain:
    """A domain that is half set up: proven, one key right and one mixed up, two SPF records, no DMARC."""
    kite = add_domain(house.as_key, "kite.example")
    keys = create_keys(kite, timezone.now())
    activate(keys[0], timezone.now(), because="person")
    values = {record.selector: record for record in setup_of(kite).records if record.code == "dkim"}
    rsa, ed25519 = (values[key.selector] for key in keys)
    zone.txt(rsa.name, rsa.value)
    zone.txt(ed25519.name, "v=DKIM1; k=ed25519; p=AAAA")
    zone.txt(
        "kite.example",
        f"mail-platform-verify={kite.proof}",
        "v=spf1 mx -all",
        "v=spf1 include:old.example ~all",
    )
    zone.mx("kite.example", "aspmx.example")
    zone.fail("_mta-sts.kite.example")
    return kite


@pytest.fixture
def kite(house: House, zone: NameServer, settings: Settings) -> Domain:
    settings.MAIL_HOSTNAME = "mail.platform.example"
    reconcile_relays(["smtp://relay.kite.example:587", "smtp://smtp.sendgrid.net:587"])
    return kite_of(house, zone)


def test_an_admin_sets_up_a_domain(
    page: Page,
    kite: Domain,
    zone: NameServer,
    sign_in: Callable[[str], None],
    photograph: Callable[..., None],
) -> None:
    sign_in("admin@house.test")
    page.get_by_role("link", name="Domains").click()
    expect(page.get_by_role("heading", name="Domains")).to_be_visible()
    photograph("domains")
    page.get_by_label("Add a domain").fill("not a domain")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_contain_text("is no domain name")
    page.get_by_role("link", name="kite.example", exact=True).click()
    # The page asks for a check by itself.
    expect(page.get_by_role("status").first).to_contain_text("Something is wrong")
    expect(page.get_by_text("There are 2 SPF records")).to_be_visible()
    expect(page.get_by_text("could not be checked")).to_be_visible()
    photograph("domain")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the value").first.click()
    expect(page.locator("#toasts")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"mail-platform-verify={kite.proof}"
    for width in (360, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(BEYOND_THE_EDGE) == 0
    page.locator(".scroll").evaluate("element => element.scrollTo(0, element.scrollHeight)")
    photograph("domain-keys")
    zone.txt(
        "kite.example",
        f"mail-platform-verify={kite.proof}",
        "v=spf1 a:relay.kite.example include:sendgrid.net ~all",
    )
    zone.txt("sendgrid.net", "v=spf1 ip4:192.0.2.0/24 ~all")
    page.get_by_role("button", name="Look again").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("it allows the relays that carry your mail")).to_be_visible()


def test_an_admin_lets_a_mailbox_take_what_nobody_has(
    page: Page, house: House, sign_in: Callable[[str], None], photograph: Callable[..., None]
) -> None:
    sign_in("admin@house.test")
    page.get_by_role("link", name="Domains").click()
    page.get_by_role("link", name="house.test", exact=True).click()
    chooser = page.get_by_label("It goes to")
    expect(chooser).to_have_value("")
    chooser.select_option(label="House Support <support@house.test>")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("It goes to")).to_have_value(str(house.support.pk))
    page.locator(".scroll").evaluate("element => element.scrollTo(0, element.scrollHeight)")
    photograph("catch-all", sizes=(1440,))
    page.set_viewport_size({"width": 360, "height": 740})
    page.locator(".scroll").evaluate("element => element.scrollTo(0, element.scrollHeight)")
    photograph("catch-all", sizes=(360,))
    for width in (360, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
