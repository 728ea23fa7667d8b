"""The page of acknowledgements, and what a conversation says of its own."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.automation.models import AcknowledgementRule
from apps.mailboxes.models import Folder
from tests.automation.acknowledging import acknowledge_all, arrive_by_envelope, switch_on
from tests.people import House
from tests.webmail.conftest import browser_of

PAGE = "/mailbox-settings/"


@pytest.fixture
def admin(house: House) -> Client:
    return browser_of(house.admin)


def change_address(house: House) -> str:
    return reverse("webmail:change-acknowledgement", kwargs={"mailbox_id": house.support.pk})


def test_an_admin_switches_it_on_in_words_of_their_own(house: House, admin: Client) -> None:
    assert "Acknowledge every new ticket" in admin.get(PAGE).content.decode()
    saved = admin.post(change_address(house), {"is_on": "1", "text": "It is #{number}. <b>"}, follow=True)
    page = saved.content.decode()
    assert "Saved." in page
    assert "It is #{number}. &lt;b&gt;" in page
    assert "checked" in page
    assert AcknowledgementRule.objects.get().is_on
    admin.post(change_address(house), {"text": "It is #{number}."})
    assert not AcknowledgementRule.objects.get().is_on


def test_what_cannot_be_saved_is_shown_again_with_the_reason(house: House, admin: Client) -> None:
    answer = admin.post(change_address(house), {"is_on": "1", "text": " "})
    assert answer.status_code == 422
    assert "An acknowledgement needs some text." in answer.content.decode()
    assert not AcknowledgementRule.objects.exists()


def test_an_agent_sees_it_and_cannot_change_it(house: House, alice: Client) -> None:
    page = alice.get(PAGE).content.decode()
    assert "An admin can switch it on." in page
    assert "<textarea" not in page
    answer = alice.post(change_address(house), {"is_on": "1", "text": "Mine"})
    assert answer.status_code == 403
    assert "Only an admin can change this." in answer.content.decode()
    assert not AcknowledgementRule.objects.exists()
    switch_on(house, "It is #{number}.")
    assert "It is #{number}." in alice.get(PAGE).content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_conversation_says_what_became_of_it(house: House) -> None:
    switch_on(house)
    sent = arrive_by_envelope(house.support)
    withheld = arrive_by_envelope(house.support, message_id="b@x.example", envelope_sender="")
    acknowledge_all(timezone.now())
    alice = browser_of(house.alice)

    def page(thread_id: object) -> str:
        address = reverse(
            "webmail:conversation",
            kwargs={"mailbox_id": house.support.pk, "folder": Folder.INBOX, "thread_id": thread_id},
        )
        return alice.get(address).content.decode()

    assert "Acknowledged" in page(sent.thread_id)
    assert "somebody will answer it. It is ticket #1." in page(sent.thread_id)
    told = page(withheld.thread_id)
    assert "Not acknowledged" in told
    assert "Its envelope names no sender, as of a bounce or a notice." in told
