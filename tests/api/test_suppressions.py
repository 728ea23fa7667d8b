"""Suppressions over REST: who may see and change them, and what they do to a submission."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.outbound.bounces.suppressions import suppress
from apps.outbound.models import SuppressionReason
from tests.api.client import Api
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)
ELENA = "elena@customer.example"


@pytest.fixture
def admin(house: House) -> Api:
    return Api.of(house.secret)


@pytest.fixture
def agent(house: House) -> Api:
    _key, secret = create_api_key(house.organisation, name="agent", role=Role.AGENT, user=house.alice)
    return Api.of(secret)


def test_an_address_is_entered_listed_and_removed(admin: Api) -> None:
    made = admin.post(
        "/suppressions", {"address": "Elena@Customer.Example", "evidence": "She asked by phone."}
    )
    assert made.status_code == 201
    row = made.json()
    assert (row["address"], row["reason"], row["in_force"]) == (ELENA, "manual", True)
    assert admin.get(f"/suppressions/{row['id']}").json() == row
    assert [one["id"] for one in admin.get("/suppressions?q=elena").json()["results"]] == [row["id"]]
    assert admin.get("/suppressions?q=nobody").json()["results"] == []
    assert admin.get("/suppressions?reason=complaint").json()["results"] == []
    assert admin.delete(f"/suppressions/{row['id']}").json()["in_force"] is False
    assert admin.delete(f"/suppressions/{row['id']}").status_code == 404
    assert admin.get("/suppressions").json()["results"] == []


def test_a_message_to_a_suppressed_address_is_accepted_and_says_why_it_stays(admin: Api) -> None:
    admin.post("/suppressions", {"address": ELENA})
    sent = admin.post(
        "/messages", {"from": "support@house.test", "to": [ELENA, "ben@customer.example"], "text": "Hello"}
    )
    assert sent.status_code == 202
    states = {one["recipient"]: one for one in sent.json()["deliveries"]}
    assert states[ELENA]["state"] == "suppressed"
    assert "somebody of your team" in states[ELENA]["reason"]
    assert states["ben@customer.example"]["state"] == "queued"
    assert [one["recipient"] for one in admin.get("/errors").json()["results"]] == [ELENA]


def test_bad_input_names_its_field(admin: Api) -> None:
    for body, field in (
        ({"address": "no address"}, "address"),
        ({"address": ELENA, "reason": "hard_bounce"}, "reason"),
        ({"address": ELENA, "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({}, "address"),
    ):
        answer = admin.post("/suppressions", body)
        assert answer.status_code == 422
        assert [one["field"] for one in answer.json()["errors"]] == [field]


def test_an_agent_sees_the_list_and_may_not_change_it(admin: Api, agent: Api) -> None:
    row = admin.post("/suppressions", {"address": ELENA}).json()
    assert [one["id"] for one in agent.get("/suppressions").json()["results"]] == [row["id"]]
    assert agent.post("/suppressions", {"address": "x@y.example"}).status_code == 403
    assert agent.delete(f"/suppressions/{row['id']}").status_code == 403


def test_one_that_expired_is_listed_as_such_and_stops_nothing(house: House, admin: Api) -> None:
    long_ago = timezone.now() - timedelta(days=100)
    suppress(house.organisation.pk, ELENA, SuppressionReason.HARD_BOUNCE, now=long_ago)
    assert admin.get("/suppressions").json()["results"][0]["in_force"] is False
    sent = admin.post("/messages", {"from": "support@house.test", "to": [ELENA], "text": "Hello"})
    assert sent.json()["state"] == "queued"
