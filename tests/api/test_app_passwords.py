"""App passwords over REST."""

from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.mailboxes.app_passwords import principal_of_app_password
from tests.api.client import Api
from tests.people import House


def test_one_is_made_shown_once_and_revoked(api: Api, house: House) -> None:
    made = api.post("/app-passwords", {"mailbox": str(house.support.pk), "name": "Scanner"})
    assert made.status_code == 201
    body = made.json()
    assert (body["username"], body["user"], body["last_used_at"]) == ("support@house.test", None, None)
    assert principal_of_app_password(body["password"], "", timezone.now()) is not None
    path = f"/app-passwords/{body['id']}"
    assert "password" not in api.get(path).json()
    assert [one["id"] for one in api.get("/app-passwords").json()["results"]] == [body["id"]]
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404
    assert api.delete(path).status_code == 404
    assert principal_of_app_password(body["password"], "", timezone.now()) is None


def test_a_persons_key_makes_their_own(house: House) -> None:
    agent = Api.of(create_api_key(house.organisation, name="agent", role=Role.AGENT, user=house.alice)[1])
    made = agent.post("/app-passwords", {"mailbox": str(house.alices.pk), "name": "Phone"})
    assert made.json()["user"] == str(house.alice.pk)
    assert agent.post("/app-passwords", {"mailbox": str(house.bobs.pk), "name": "Phone"}).status_code == 404


def test_what_is_wrong_is_named(api: Api, house: House) -> None:
    answer = api.post("/app-passwords", {"mailbox": str(house.support.pk), "name": "\u2066"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")
    assert api.post("/app-passwords", {"mailbox": "nonsense", "name": "x"}).status_code == 422
