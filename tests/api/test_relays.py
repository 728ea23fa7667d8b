"""Relays over the API: who may do what, what is refused, and that no password comes back."""

from typing import Any

import pytest

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.api.serializers.relays import NewRelaySerializer, RelayChangeSerializer
from apps.outbound.models import Delivery, Relay
from apps.outbound.relays.endpoints import endpoint_of
from apps.outbound.relays.environment import reconcile_relays
from apps.outbound.relays.wishes import RelayWishes
from tests.api.client import Api
from tests.outbound.sending import drain, only_delivery, send
from tests.people import House
from tests.remote.server import RemoteServer

SMARTHOST = {
    "name": "Mail provider",
    "host": "smtp.provider.example",
    "port": 587,
    "security": "starttls",
    "username": "apikey",
    "password": "a very secret word",
}


@pytest.fixture
def agent(house: House) -> Api:
    _key, secret = create_api_key(house.organisation, name="agent", role=Role.AGENT)
    return Api.of(secret)


def add(api: Api, **changes: Any) -> Any:
    answer = api.post("/relays", SMARTHOST | changes)
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_a_relay_is_added_and_its_password_is_kept_sealed(api: Api) -> None:
    added = add(api, sender_domains=["House.test", "*.house.test"], lanes=["bulk"], priority=3)
    assert (added["has_secret"], added["read_only"], added["health"]["state"]) == (True, False, "ok")
    assert added["sender_domains"] == ["*.house.test", "house.test"]
    kept = Relay.objects.get()
    assert "secret word" not in str(Relay.objects.values())
    assert endpoint_of(kept).password == "a very secret word"
    for answer in (api.get("/relays"), api.get(f"/relays/{kept.pk}")):
        assert b"secret word" not in answer.content
        assert kept.sealed_secret.encode() not in answer.content


def test_a_relay_is_changed_paused_resumed_and_removed(api: Api) -> None:
    path = f"/relays/{add(api)['id']}"
    assert api.patch(path, {"weight": 7, "name": "Other"}).json()["weight"] == 7
    assert api.post(f"{path}/pause").json()["health"]["state"] == "paused"
    assert api.post(f"{path}/resume").json()["is_active"] is True
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404
    assert api.get("/relays").json()["results"] == []
    assert Relay.objects.get().sealed_secret == ""
    add(api)  # its name is free again


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"host": ""}, "host"),
        ({"host": "not a host"}, "host"),
        ({"port": 0}, "port"),
        ({"port": "587"}, None),
        ({"security": "ssl"}, "security"),
        ({"security": "opportunistic"}, "security"),
        ({"username": ""}, "username"),
        ({"password": ""}, "password"),
        ({"password": "two\nlines"}, "password"),
        ({"priority": 1001}, "priority"),
        ({"weight": 0}, "weight"),
        ({"sender_domains": ["a b"]}, "sender_domains"),
        ({"recipient_domains": ["*."]}, "recipient_domains"),
        ({"lanes": ["fast"]}, "lanes[0]"),
        ({"hello_name": "-"}, "hello_name"),
        ({"kind": "direct"}, "host"),
        ({"kind": "direct", "host": "", "username": "", "password": "", "security": "tls"}, "security"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_is_refused_and_named(api: Api, changes: dict[str, Any], field: str | None) -> None:
    answer = api.post("/relays", SMARTHOST | changes)
    if field is None:
        assert answer.status_code == 201
        return
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert b"secret word" not in answer.content


def test_a_name_is_given_once(api: Api, outsider: Api) -> None:
    add(api)
    assert api.post("/relays", SMARTHOST).json()["errors"][0]["field"] == "name"
    assert outsider.post("/relays", SMARTHOST).status_code == 201


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "evil.example"},
        {"port": 25},
        {"username": "other"},
        {"security": "none"},
        {"certificates": "ignored"},
    ],
)
def test_a_password_is_sent_nowhere_it_was_not_given_for(api: Api, changes: dict[str, Any]) -> None:
    path = f"/relays/{add(api)['id']}"
    refused = api.patch(path, changes)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "password"
    assert api.patch(path, changes | {"password": "typed in again"}).status_code == 200


def test_agents_read_and_do_not_change(api: Api, agent: Api) -> None:
    path = f"/relays/{add(api)['id']}"
    assert agent.get(path).status_code == agent.get("/relays").status_code == 200
    tried = [
        agent.post("/relays", SMARTHOST),
        agent.patch(path, {"weight": 2}),
        agent.delete(path),
        agent.post(f"{path}/pause"),
        agent.post(f"{path}/resume"),
        agent.post(f"{path}/test", {}),
    ]
    assert [answer.status_code for answer in tried] == [403] * 6
    assert Relay.objects.get().is_active


def test_relays_of_the_environment_are_seen_by_all_and_changed_by_none(api: Api, outsider: Api) -> None:
    reconcile_relays(["smtp://us:secretword@a.test"])
    for one in (api, outsider):
        (seen,) = one.get("/relays").json()["results"]
        assert (seen["read_only"], seen["has_secret"]) == (True, False)
        path = f"/relays/{seen['id']}"
        assert [
            one.patch(path, {"weight": 2}).status_code,
            one.delete(path).status_code,
            one.post(f"{path}/pause").status_code,
        ] == [409] * 3
        assert b"secretword" not in one.get(path).content
    reconcile_relays([])
    assert api.get("/relays").json()["results"] == []


def test_health_tells_of_the_last_answers(
    house: House, api: Api, remote: RemoteServer, transactional_db: None
) -> None:
    reconcile_relays([])
    added = add(api, host="127.0.0.1", port=remote.port, security="none", username="", password="")
    send(house.as_key, "elena@x.example")
    drain()
    health = api.get(f"/relays/{added['id']}").json()["health"]
    assert health["state"] == "ok"
    (answer,) = health["answers"]
    assert (answer["good"], answer["code"], answer["server"]) == (True, 250, f"127.0.0.1:{remote.port}")


def test_a_new_relay_takes_at_once_what_waited_for_want_of_one(
    house: House, api: Api, remote: RemoteServer, transactional_db: None
) -> None:
    reconcile_relays([])
    delivery = only_delivery(send(house.as_key, "elena@x.example"))
    drain()
    assert Delivery.objects.get().cause == "no_relay_serves"
    add(api, host="127.0.0.1", port=remote.port, security="none", username="", password="")
    drain()
    delivery.refresh_from_db()
    assert delivery.state == "sent"


def test_what_may_be_wished_of_a_relay_is_what_may_be_asked_for() -> None:
    assert NewRelaySerializer().fields.keys() == RelayWishes.__annotations__.keys()
    assert RelayChangeSerializer().fields.keys() == RelayWishes.__annotations__.keys() - {"kind"}
