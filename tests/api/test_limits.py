"""Limits over REST: an admin bounds the organisation's own mail, everybody sees why mail waits."""

import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.outbound.limits.selectors import use_of_relays
from apps.outbound.limits.services import set_shared_limit
from apps.outbound.models import LimitScope, Relay, SendingLimit
from apps.outbound.relays.environment import reconcile_relays
from tests.api.client import Api
from tests.people import House
from tests.servers import Servers

pytestmark = pytest.mark.django_db


@pytest.fixture
def relay() -> Relay:
    return reconcile_relays(["smtp://mail-1.test?tls=none"])[0]


def made(api: Api, **body: Any) -> dict[str, Any]:
    answer = api.post("/limits", body)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_a_limit_is_made_read_changed_and_removed(api: Api, relay: Relay) -> None:
    limit = made(api, scope="relay", subject=str(relay.pk), per_minute=30, connections=3)
    assert (limit["per_minute"], limit["connections"], limit["per_day"]) == (30, 3, None)
    assert limit["used"] == {"in_flight": 0, "windows": {"per_minute": 0}, "pace": None}
    assert not limit["for_everybody"]
    path = f"/limits/{limit['id']}"
    assert api.get(path).json() == limit
    assert [one["id"] for one in api.get("/limits").json()["results"]] == [limit["id"]]
    changed = api.patch(path, {"per_minute": None, "per_hour": 500}).json()
    assert (changed["per_minute"], changed["per_hour"], changed["connections"]) == (None, 500, 3)
    assert api.call("DELETE", path).status_code == 204
    assert api.get(path).status_code == 404


def test_subjects_are_kept_in_the_form_in_which_they_are_counted(api: Api, house: House) -> None:
    assert made(api, scope="destination", subject="Bücher.Example", per_hour=9)["subject"] == (
        "xn--bcher-kva.example"
    )
    assert (
        made(api, scope="sender", subject="Support@House.test", per_hour=9)["subject"] == "support@house.test"
    )
    assert made(api, scope="organisation", per_day=100)["subject"] == str(house.organisation.pk)
    assert made(api, scope="relay", gap_ms=50)["subject"] == "*"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scope": "relay"}, "per_minute"),
        ({"scope": "relay", "per_minute": 0}, "per_minute"),
        ({"scope": "relay", "per_minute": "30"}, "per_minute"),
        ({"scope": "relay", "per_minute": True}, "per_minute"),
        ({"scope": "relay", "per_minute": 2**40}, "per_minute"),
        ({"scope": "relay", "gap_ms": 86_400_001}, "gap_ms"),
        ({"scope": "relay", "subject": str(uuid.uuid4()), "per_minute": 1}, "subject"),
        ({"scope": "relay", "subject": "mail-1", "per_minute": 1}, "subject"),
        ({"scope": "sender", "subject": "nobody", "per_minute": 1}, "subject"),
        ({"scope": "destination", "subject": "no domain", "per_minute": 1}, "subject"),
        ({"scope": "organisation", "subject": str(uuid.uuid4()), "per_minute": 1}, "subject"),
        ({"scope": "moon", "per_minute": 1}, "scope"),
        ({"scope": "relay", "per_fortnight": 1}, "per_fortnight"),
    ],
)
def test_what_bounds_nothing_sensible_is_refused_by_name(api: Api, body: dict[str, Any], field: str) -> None:
    answer = api.post("/limits", body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not SendingLimit.objects.exists()


def test_a_second_limit_for_the_same_is_refused(api: Api) -> None:
    made(api, scope="relay", per_minute=30)
    assert api.post("/limits", {"scope": "relay", "per_hour": 3}).status_code == 422
    assert SendingLimit.objects.count() == 1


def test_a_limit_cannot_be_left_without_a_bound(api: Api) -> None:
    limit = made(api, scope="relay", per_minute=30)
    assert api.patch(f"/limits/{limit['id']}", {"per_minute": None}).status_code == 422
    assert SendingLimit.objects.get().per_minute == 30


def test_agents_read_limits_and_change_none(api: Api, house: House) -> None:
    limit = made(api, scope="relay", per_minute=30)
    _key, secret = create_api_key(house.organisation, name="agent", role=Role.AGENT, user=house.alice)
    agent, path = Api.of(secret), f"/limits/{limit['id']}"
    assert agent.get(path).status_code == 200
    assert agent.post("/limits", {"scope": "sender", "per_minute": 1}).status_code == 403
    assert agent.patch(path, {"per_minute": 1}).status_code == 403
    assert agent.call("DELETE", path).status_code == 403
    assert SendingLimit.objects.get().per_minute == 30


def test_another_organisations_limits_are_not_there(api: Api, outsider: Api) -> None:
    path = f"/limits/{made(api, scope='relay', per_minute=30)['id']}"
    assert outsider.get(path).status_code == 404
    assert outsider.patch(path, {"per_minute": 1}).status_code == 404
    assert outsider.call("DELETE", path).status_code == 404
    assert outsider.get("/limits").json()["results"] == []


def test_everybodys_limits_are_seen_and_only_the_operators_to_change(api: Api, outsider: Api) -> None:
    shared = set_shared_limit(LimitScope.RELAY, "*", {"per_minute": 30}, timezone.now())
    set_shared_limit(LimitScope.ORGANISATION, str(uuid.uuid4()), {"per_day": 3}, timezone.now())
    for caller in (api, outsider):
        (seen,) = caller.get("/limits").json()["results"]
        assert (seen["id"], seen["for_everybody"], seen["used"]) == (str(shared.pk), True, None)
        path = f"/limits/{shared.pk}"
        assert caller.patch(path, {"per_minute": 99}).status_code == 409
        assert caller.call("DELETE", path).status_code == 409
    assert made(api, scope="relay", per_minute=10)["per_minute"] == 10


def test_with_redis_away_limits_are_shown_without_their_use(
    api: Api, house: House, relay: Relay, servers: Servers
) -> None:
    limit = made(api, scope="relay", subject=str(relay.pk), per_minute=30)
    servers.valkey.stop()
    assert api.get(f"/limits/{limit['id']}").json()["used"] is None
    use = use_of_relays([relay], house.organisation.pk)[relay.pk]
    assert not use.is_known and use.bounds.per_minute == 30


def test_a_relays_bounds_are_everybodys_and_ones_own_together(api: Api, house: House, relay: Relay) -> None:
    set_shared_limit(LimitScope.RELAY, "*", {"per_minute": 30, "connections": 3}, timezone.now())
    made(api, scope="relay", subject=str(relay.pk), per_minute=10, per_day=500)
    use = use_of_relays([relay], house.organisation.pk)[relay.pk]
    assert (use.bounds.per_minute, use.bounds.connections, use.bounds.per_day) == (10, 3, 500)
    assert use.windows == {"per_minute": 0, "per_day": 0}


def test_the_operator_limits_everybody_from_the_command_line(relay: Relay) -> None:
    def limit(*arguments: str) -> str:
        out = StringIO()
        call_command("limit", *arguments, stdout=out)
        return out.getvalue()

    assert "per_minute=30" in limit("relay", relay.host, "--per-minute", "30", "--connections", "3")
    row = SendingLimit.objects.get()
    assert (row.organisation_id, row.subject, row.connections) == (None, str(relay.pk), 3)
    assert "connections" not in limit("relay", relay.name, "--connections", "0")
    assert limit() == f"relay {relay.pk}: per_minute=30\n"
    assert limit("relay", str(relay.pk), "--remove") == ""
    with pytest.raises(CommandError, match="name one relay"):
        limit("relay", "nowhere", "--per-minute", "1")
