"""Erasing a customer's data over REST."""

import uuid

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.erasure.walk import erase_some
from apps.mailboxes.models import Message
from tests.api.client import Api
from tests.arrivals import arrive
from tests.people import House

ELENA = {"address": "elena@customer.example", "confirmation": "Elena@Customer.example"}


def test_an_admins_key_has_a_customer_erased_and_sees_the_line(house: House) -> None:
    arrive(house.support)
    api = Api.of(house.secret)
    answer = api.post("/erasures", ELENA)
    assert answer.status_code == 202
    line = answer.json()
    assert line["state"] == "running"
    assert line["requested_by"] == house.as_key.actor
    while erase_some():
        pass
    done = api.get(f"/erasures/{line['id']}").json()
    assert (done["state"], done["counts"]["messages"]) == ("done", 1)
    assert "customer.example" not in str(done)
    assert api.get("/erasures").json()["results"] == [done]
    assert not Message.objects.exists()


def test_the_address_must_be_typed_twice(house: House) -> None:
    arrive(house.support)
    api = Api.of(house.secret)
    for body, field in (
        (ELENA | {"confirmation": "elena@customer.exampl"}, "confirmation"),
        ({"address": ELENA["address"]}, "confirmation"),
        ({"address": "nobody", "confirmation": "nobody"}, "address"),
        ({"address": "alice@house.test", "confirmation": "alice@house.test"}, "address"),
    ):
        answer = api.post("/erasures", body)
        assert answer.status_code == 422, body
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert Message.objects.exists()


def test_an_agents_key_may_neither_ask_nor_look(house: House) -> None:
    _key, secret = create_api_key(house.organisation, name="an agent's", role=Role.AGENT)
    api = Api.of(secret)
    assert api.post("/erasures", ELENA).status_code == 403
    assert api.get("/erasures").status_code == 403
    assert api.get(f"/erasures/{uuid.uuid4()}").status_code == 403
