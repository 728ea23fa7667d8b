"""Webhooks over REST."""

import pytest

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.webhooks.models import Webhook
from tests.api.client import Api
from tests.people import House

BODY = {"url": "https://shop.example/hook", "event_kinds": ["ticket.*", "message.received"]}


def test_a_webhook_is_made_read_changed_and_taken_away(house: House, api: Api) -> None:
    made = api.post("/webhooks", BODY)
    assert made.status_code == 201
    told = made.json()
    assert told["secret"].startswith("whsec_")
    path = f"/webhooks/{told['id']}"
    read = api.get(path).json()
    assert "secret" not in read
    assert (read["url"], read["event_kinds"], read["is_active"]) == (
        BODY["url"],
        BODY["event_kinds"],
        True,
    )
    assert [one["id"] for one in api.get("/webhooks").json()["results"]] == [told["id"]]
    changed = api.patch(path, {"is_active": False, "description": "The shop"}).json()
    assert (changed["is_active"], changed["disabled_because"]) == (False, "by_person")
    assert api.call("DELETE", path).status_code == 204
    assert api.get(path).status_code == 404
    assert not Webhook.objects.exists()


def test_a_test_waits_and_is_listed(house: House, api: Api) -> None:
    path = f"/webhooks/{api.post('/webhooks', BODY).json()['id']}"
    tested = api.post(f"{path}/test")
    assert tested.status_code == 202
    assert (tested.json()["kind"], tested.json()["state"]) == ("webhook.tested", "waiting")
    assert [one["id"] for one in api.get(f"{path}/deliveries").json()["results"]] == [tested.json()["id"]]
    api.patch(path, {"is_active": False})
    assert api.post(f"{path}/test").status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**BODY, "url": "https://169.254.169.254/latest"}, "url"),
        ({**BODY, "url": "http://shop.example/"}, "url"),
        ({**BODY, "event_kinds": []}, "event_kinds"),
        ({**BODY, "event_kinds": ["*", "nonsense"]}, "event_kinds[1]"),
        ({"url": BODY["url"]}, "event_kinds"),
        ({**BODY, "secret": "mine"}, "secret"),
    ],
)
def test_what_cannot_be_names_its_field(api: Api, body: dict[str, object], field: str) -> None:
    answer = api.post("/webhooks", body)
    assert answer.status_code == 422
    assert field in [error["field"].removesuffix("[0]") for error in answer.json()["errors"]]


def test_they_are_for_admins(house: House, api: Api) -> None:
    webhook = api.post("/webhooks", BODY).json()["id"]
    _key, secret = create_api_key(house.organisation, name="alice's", role=Role.AGENT, user=house.alice)
    agent = Api.of(secret)
    for path in ("/webhooks", f"/webhooks/{webhook}", f"/webhooks/{webhook}/deliveries"):
        assert agent.get(path).status_code == 404
    assert agent.post("/webhooks", BODY).status_code == 404
    assert agent.post(f"/webhooks/{webhook}/test").status_code == 404
    assert agent.call("DELETE", f"/webhooks/{webhook}").status_code == 404
