"""The page of mailbox settings: addresses, mail for nobody, what is held. Acknowledgements: `test_acknowledgements`."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.mailboxes.aliases import add_alias
from apps.mailboxes.models import Domain, MailboxKind, OwnedAddress
from apps.mailboxes.services import create_mailbox
from apps.tickets.models import ReceivingPolicy
from tests.people import House
from tests.webmail.conftest import browser_of

PAGE = "/mailbox-settings/"
HELD = f"{PAGE}held/"


@pytest.fixture
def admin(house: House) -> Client:
    return browser_of(house.admin)


def aliases(house: House) -> str:
    return reverse("webmail:add-alias", kwargs={"mailbox_id": house.support.pk})


def test_an_admin_gives_a_mailbox_an_address_and_takes_it_away(house: House, admin: Client) -> None:
    page = admin.post(aliases(house), {"address": "Sales@house.test"}, follow=True).content.decode()
    assert "Added." in page
    assert "sales@house.test" in page
    alias = OwnedAddress.objects.get(address="sales@house.test")
    page = admin.post(f"{aliases(house)}{alias.pk}/remove/", follow=True).content.decode()
    assert "sales@house.test is removed." in page
    assert "no other address" in page


def test_what_cannot_be_an_address_is_shown_again_with_the_reason(house: House, admin: Client) -> None:
    answer = admin.post(aliases(house), {"address": "<b>@elsewhere.test"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert 'value="&lt;b&gt;@elsewhere.test"' in page
    assert "Write a whole address" in page


def test_an_agent_sees_the_addresses_and_what_is_held_and_changes_nothing(
    house: House, alice: Client
) -> None:
    alias = add_alias(house.as_key, house.support, "sales@house.test")
    page = alice.get(PAGE).content.decode()
    assert "sales@house.test" in page
    assert "Hold what its domain asks to reject or to quarantine" in page
    assert "<select" not in page
    assert "Mail for nobody" not in page
    for path, asked in (
        (aliases(house), {"address": "help@house.test"}),
        (f"{aliases(house)}{alias.pk}/remove/", {}),
        (HELD, {"spam": "allow"}),
    ):
        answer = alice.post(path, asked)
        assert answer.status_code == 403
        assert "Only an admin can change this." in answer.content.decode()
    assert house.support.aliases == [alias]
    assert not ReceivingPolicy.objects.exists()


def test_an_admin_says_where_replies_go(house: House, admin: Client, alice: Client) -> None:
    path = reverse("webmail:change-answers", kwargs={"mailbox_id": house.support.pk})
    assert alice.post(path, {"reply_tokens": "1"}).status_code == 403
    assert "asked for at its address" in alice.get(PAGE).content.decode()
    page = admin.post(path, {"reply_tokens": "1"}, follow=True).content.decode()
    assert "asked for at an address of their own" in page
    admin.post(path)
    assert "asked for at its address" in alice.get(PAGE).content.decode()


def test_an_admin_says_what_is_to_be_held(house: House, stranger: House, admin: Client) -> None:
    page = admin.post(HELD, {"spam": "allow", "dmarc": "reject_only"}, follow=True).content.decode()
    assert "It holds for mail that comes in from now on." in page
    policy = ReceivingPolicy.objects.get()
    assert policy.organisation == house.organisation
    assert (policy.spam, policy.dmarc, policy.forbidden_files) == ("allow", "reject_only", "hold")
    assert '<option value="reject_only" selected>' in page
    assert admin.post(HELD, {"dmarc": "burn"}).status_code == 422
    assert ReceivingPolicy.objects.get().dmarc == "reject_only"


def test_mail_for_nobody_is_sent_to_a_mailbox_from_here(house: House, admin: Client) -> None:
    domain = Domain.objects.get(name="house.test")
    path = reverse("webmail:catch-all", kwargs={"domain_id": domain.pk})
    saved = admin.post(path, {"mailbox": house.support.pk, "back": "settings"})
    assert saved.headers["Location"] == PAGE
    assert Domain.objects.get(name="house.test").catch_all == house.support
    assert f'<option value="{house.support.pk}" selected>' in admin.get(PAGE).content.decode()


def test_the_page_asks_as_much_for_many_mailboxes_as_for_one(
    house: House, admin: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with CaptureQueriesContext(connection) as first:
        admin.get(PAGE)
    for n in range(5):
        made = create_mailbox(
            house.organisation,
            address=f"team{n}@house.test",
            name=f"Team {n}",
            kind=MailboxKind.SHARED,
            members=[house.admin],
        )
        add_alias(house.as_key, made, f"also{n}@house.test")
    with django_assert_num_queries(len(first)):
        admin.get(PAGE)
