"""The page Erasure as an admin sees it: empty, refused, under way and done."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.erasure.services import request_erasure
from apps.erasure.walk import erase_some
from apps.mailboxes.models import Message
from tests.arrivals import arrive
from tests.erasure.customer import be_mentioned, leave_traces, write_and_be_answered
from tests.people import House

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ELENA = "elena@customer.example"


def test_an_admin_erases_a_customer(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[[str], None]
) -> None:
    write_and_be_answered(house)
    leave_traces(house)
    be_mentioned(house)
    arrive(house.support, sender="Ben <ben@slow.example>", message_id="other@slow.example")
    sign_in("admin@house.test")
    page.goto("/erasures/")
    expect(page.get_by_text("Nobody was erased")).to_be_visible()
    page.get_by_role("main").get_by_label("Address", exact=True).fill(ELENA)
    page.get_by_label("The same address again").fill("elena@customer.exampel")
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_role("alert").filter(has_text="not the same")).to_be_visible()
    photograph("erasure-refused")
    page.get_by_label("The same address again").fill(ELENA)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Under way")).to_be_visible()
    while erase_some():
        pass
    request_erasure(house.as_key, "carla@slow.example", confirmation="carla@slow.example", now=timezone.now())
    page.reload()
    expect(page.get_by_text("2 messages of others rewritten")).to_be_visible()
    photograph("erasure")
    assert set(Message.objects.filter(direction="in").values_list("sender_address", flat=True)) == {
        "ben@customer.example",
        "ben@slow.example",
    }
