"""The page where an admin has a customer erased."""

from django.test import Client

from apps.erasure.models import Erasure
from apps.erasure.walk import erase_some
from apps.mailboxes.models import Message
from tests.arrivals import arrive
from tests.people import House
from tests.webmail.conftest import browser_of

ELENA = "elena@customer.example"


def test_an_admin_erases_a_customer_and_a_line_stays(house: House) -> None:
    arrive(house.support)
    admin = browser_of(house.admin)
    answer = admin.post("/erasures/", {"address": ELENA, "confirmation": ELENA})
    assert (answer.status_code, answer["Location"]) == (302, "/erasures/")
    assert "Under way" in admin.get("/erasures/").content.decode()
    while erase_some():
        pass
    page = admin.get("/erasures/").content.decode()
    assert "1 message, 1 ticket" in page
    assert "Admin House" in page
    assert ELENA not in page
    assert not Message.objects.exists()


def test_two_different_addresses_erase_nothing(house: House) -> None:
    arrive(house.support)
    answer = browser_of(house.admin).post(
        "/erasures/", {"address": ELENA, "confirmation": "elen@customer.example"}
    )
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "The two are not the same address. Nothing was erased." in page
    assert f'value="{ELENA}"' in page
    assert not Erasure.objects.exists()


def test_an_agent_neither_finds_nor_opens_the_page(house: House, alice: Client) -> None:
    assert alice.get("/erasures/").status_code == 403
    assert alice.post("/erasures/", {"address": ELENA, "confirmation": ELENA}).status_code == 403
    assert "/erasures/" not in alice.get(f"/m/{house.support.pk}/inbox/").content.decode()
    assert "/erasures/" in browser_of(house.admin).get(f"/m/{house.support.pk}/inbox/").content.decode()
