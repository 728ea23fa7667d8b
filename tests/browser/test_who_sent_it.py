"""What an agent sees of who sent a mail: proven, perhaps forged, not checked, and a name that pretends."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.mailauth.results import (
    ArcResult,
    Authentication,
    DkimResult,
    DmarcResult,
    Signature,
    SpfResult,
    unchecked,
)
from tests.arrivals import arrive
from tests.people import House

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DOMAIN = "customer.example"
NO_CHAIN = ArcResult("none", "No forwarder says what it saw.")
HONEST = Authentication(
    SpfResult("pass", f"{DOMAIN} lets 192.0.2.7 send for it.", DOMAIN, "mailfrom"),
    DkimResult(
        "pass",
        f"Signed by {DOMAIN}, and not changed since.",
        (Signature("pass", "", DOMAIN, "s1", "rsa-sha256"),),
    ),
    DmarcResult("pass", f"{DOMAIN} is proven by its signature.", DOMAIN, "reject", "none", "signature"),
    NO_CHAIN,
)
FORGED = Authentication(
    SpfResult("fail", f"{DOMAIN} says that 198.51.100.1 may not send for it.", DOMAIN, "mailfrom"),
    DkimResult("none", "The mail is not signed."),
    DmarcResult("fail", f"Nothing proves that this mail is from {DOMAIN}.", DOMAIN, "reject", "reject"),
    NO_CHAIN,
)
AWAY = unchecked("temperror", "The name servers did not answer.")


def test_who_sent_it_stands_above_each_message_with_the_evidence_on_demand(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[[str], None]
) -> None:
    def came(
        text: str, found: Authentication | None, n: int, sender: str = "Elena Marsh <elena@customer.example>"
    ) -> str:
        return str(
            arrive(
                house.support,
                sender=sender,
                text=text,
                message_id=f"{n}@customer.example",
                headers={"References": "<1@customer.example>"} if n > 1 else {},
                authentication=found.as_json() if found else None,
            ).thread_id
        )

    # The forged one first: it would join no conversation that is there.
    thread = came("Please pay the difference to our new account.\r\n", FORGED, 1)
    came("Hello,\r\nour card was charged twice.\r\n", HONEST, 2)
    came("Is it done?\r\n", AWAY, 3, f"{house.alice.name} <elena@customer.example>")

    sign_in("alice@house.test")
    page.goto(f"/m/{house.support.pk}/inbox/{thread}/")
    expect(page.get_by_text("Perhaps not from customer.example")).to_be_visible()
    expect(page.get_by_text("until you have asked the sender in another way")).to_be_visible()
    expect(page.get_by_text("is the name of a colleague of yours")).to_be_visible()
    evidence = page.get_by_text("Signed by customer.example, and not changed since.")
    expect(evidence).to_be_hidden()
    page.get_by_text("From customer.example: proven").focus()
    page.keyboard.press("Enter")
    expect(evidence).to_be_visible()
    photograph("conversation-who-sent-it")
