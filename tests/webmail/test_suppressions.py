"""The page of suppressions, and what a conversation shows of what came back."""

from html import unescape

import pytest
from django.test import Client
from django.utils import timezone

from apps.mailboxes.models import Folder
from apps.outbound.bounces.suppressions import add_suppression, suppressions_for
from tests.bounced import ELENA, bounced
from tests.people import House
from tests.telling import tell_senders
from tests.webmail.conftest import browser_of


@pytest.fixture
def admin(house: House) -> Client:
    return browser_of(house.admin)


def test_an_agent_sees_the_list_without_buttons(house: House, alice: Client) -> None:
    row = add_suppression(house.as_key, ELENA, evidence="She asked by phone.", now=timezone.now())
    page = alice.get("/suppressions/").content.decode()
    assert ELENA in page
    assert "She asked by phone." in page
    assert "until it is removed" in page
    assert "/remove/" not in page
    assert alice.post(f"/suppressions/{row.pk}/remove/").status_code == 403
    assert alice.post("/suppressions/", {"address": "x@y.example"}).status_code == 403
    assert suppressions_for(house.as_alice).get() == row


def test_an_admin_adds_searches_and_removes(house: House, admin: Client) -> None:
    assert admin.post("/suppressions/", {"address": ELENA}).status_code == 302
    admin.post("/suppressions/", {"address": "ben@customer.example"})
    found = admin.get("/suppressions/?q=elena").content.decode()
    assert ELENA in found
    assert "ben@customer.example" not in found
    assert "No address on the list fits" in admin.get("/suppressions/?reason=complaint").content.decode()
    row = suppressions_for(house.as_key).get(address=ELENA)
    removing = f"/suppressions/{row.pk}/remove/?q=elena&amp;reason="
    assert f'action="{removing}"' in found
    fragment = admin.post(unescape(removing), headers={"HX-Request-Type": "partial"}).content.decode()
    assert f"{ELENA} is written to again" in fragment
    assert 'value="elena"' in fragment, "the search goes on"
    assert suppressions_for(house.as_key).get().address == "ben@customer.example"


def test_what_is_no_address_is_said_beside_its_field(admin: Client) -> None:
    page = admin.post("/suppressions/", {"address": "not an address"}).content.decode()
    assert "This is no address" in page
    assert 'value="not an address"' in page


def test_a_conversation_tells_of_the_bounce_beside_its_recipient(house: House, alice: Client) -> None:
    delivery = bounced(house)
    assert tell_senders() == 1
    listed = alice.get(f"/m/{house.support.pk}/sent/").content.decode()
    assert "Mail Delivery System" not in listed
    assert "Your invoice" in listed
    page = alice.get(f"/m/{house.support.pk}/sent/{delivery.message.thread_id}/").content.decode()
    assert "Not delivered to elena@customer.example. It came back: there is no such address." in page
    assert "Its report" in page
    assert "Undelivered Mail Returned to Sender" not in page
    assert 'value="elena@customer.example"' in page, "an answer goes to the customer, not to the mail system"


def test_a_mail_that_is_lost_counts_in_the_rail_until_it_was_looked_at(house: House, alice: Client) -> None:
    delivery = bounced(house)
    tell_senders()
    sent = f'data-live="{Folder.SENT}-{house.support.pk}">1<'
    folder = f"/m/{house.support.pk}/sent/"
    assert sent in alice.get(folder).content.decode()
    alice.post(f"/m/{house.support.pk}/t/{delivery.message.thread_id}/read/", {"is_read": "1"})
    assert sent not in alice.get(folder).content.decode()
