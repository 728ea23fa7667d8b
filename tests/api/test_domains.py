"""Domains over the API."""

from django.test import Client
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.mailboxes.models import Domain
from apps.outbound.models import KeyState, SigningKey
from tests.api.client import Api
from tests.outbound.domains.conftest import zone
from tests.people import House
from tests.remote.names import NameServer

__all__ = ["zone"]


def add(api: Api, name: str = "kite.example") -> dict[str, object]:
    answer = api.post("/domains", {"name": name})
    assert answer.status_code == 201
    added: dict[str, object] = answer.json()
    return added


def test_a_new_domain_comes_with_what_to_publish(api: Api) -> None:
    added = api.post("/domains", {"name": "Kite.Example"}).json()
    assert (added["name"], added["is_verified"], added["verdict"]) == ("kite.example", False, None)
    assert [record["code"] for record in added["records"]] == [
        "verify", "dkim", "dkim", "spf", "dmarc", "mx", "mta_sts",
    ]  # fmt: skip
    rsa = next(record for record in added["records"] if "k=rsa" in record["value"])
    assert rsa["name"].endswith("._domainkey.kite.example")
    assert "".join(rsa["strings"]) == rsa["value"]
    assert max(map(len, rsa["strings"])) <= 255
    assert {key["state"] for key in added["keys"]} == {"pending"}
    assert "PRIVATE" not in str(added)
    assert "sealed" not in str(added)


def test_it_is_listed_and_read_again(api: Api, house: House) -> None:
    added = add(api)
    assert [one["name"] for one in api.get("/domains").json()["results"]] == ["kite.example", "house.test"]
    assert api.get(f"/domains/{added['id']}").json() == added


def test_a_check_tells_each_record_and_verifies_the_domain(api: Api, zone: NameServer) -> None:
    added = add(api)
    by_name: dict[str, list[str]] = {}
    for record in added["records"]:  # type: ignore[attr-defined]
        if record["code"] in ("verify", "dkim"):
            by_name.setdefault(record["name"], []).append(record["value"])
    for name, values in by_name.items():
        zone.txt(name, *values)
    checked = api.post(f"/domains/{added['id']}/check").json()
    verdicts = {record["code"]: record["verdict"] for record in checked["records"]}
    assert verdicts == {
        "verify": "ok", "dkim": "ok", "spf": "missing", "dmarc": "missing", "mx": "unchecked", "mta_sts": "unchecked",
    }  # fmt: skip
    assert checked["is_verified"]
    assert {key["state"] for key in checked["keys"]} == {"active"}
    assert checked["verdict"] == "missing"


def test_keys_are_rotated_and_changed_by_hand(api: Api) -> None:
    domain = f"/domains/{add(api)['id']}"
    old = {key["algorithm"]: key["id"] for key in api.get(domain).json()["keys"]}
    assert api.post(f"{domain}/keys/{old['rsa']}/activate").json()["state"] == "active"
    assert api.post(f"{domain}/keys/{old['rsa']}/activate").status_code == 409
    assert api.post(f"{domain}/keys/{old['rsa']}/discard").status_code == 409
    after = api.post(f"{domain}/keys", {"algorithms": ["rsa"]})
    assert after.status_code == 201
    new = next(key for key in after.json()["keys"] if key["algorithm"] == "rsa" and key["state"] == "pending")
    api.post(f"{domain}/keys/{new['id']}/activate")
    assert SigningKey.objects.get(pk=old["rsa"]).state == KeyState.RETIRING
    assert api.post(f"{domain}/keys/{new['id']}/stop").json()["state"] == "retiring"
    assert api.post(f"{domain}/keys/{old['ed25519']}/discard").json()["state"] == "retired"


def test_a_key_of_another_domain_is_not_there(api: Api) -> None:
    one, other = add(api), add(api, "other.example")
    key = SigningKey.objects.filter(domain__name=other["name"])[0]
    assert api.post(f"/domains/{one['id']}/keys/{key.pk}/activate").status_code == 404


def test_what_cannot_be_claimed_is_said(api: Api, stranger: House) -> None:
    for name, status in (("localhost", 422), ("stranger.test", 409), ("house.test", 409)):
        answer = api.post("/domains", {"name": name})
        assert answer.status_code == status
    assert api.post("/domains", {"name": "a b"}).json()["errors"][0]["field"] == "name"
    assert api.post("/domains", {"name": 7}).status_code == 422
    assert api.post("/domains", {"name": "x.example", "verified": True}).status_code == 422


def test_a_domain_in_use_is_not_removed(api: Api, house: House) -> None:
    used = Domain.objects.get(name="house.test")
    answer = api.call("DELETE", f"/domains/{used.pk}")
    assert (answer.status_code, answer.json()["code"]) == (409, "domain_in_use")
    assert "alice@house.test" in answer.json()["detail"]
    added = add(api)
    assert api.call("DELETE", f"/domains/{added['id']}").status_code == 204
    assert api.get(f"/domains/{added['id']}").status_code == 404


def test_an_agents_key_finds_no_domains(house: House) -> None:
    _key, secret = create_api_key(house.organisation, name="agent", role=Role.AGENT)
    agent = Api(secret, Client(raise_request_exception=False))
    assert agent.get("/domains").status_code == 404
    assert agent.post("/domains", {"name": "kite.example"}).status_code == 404
    assert agent.get(f"/domains/{Domain.objects.get(name='house.test').pk}").status_code == 404


def test_mail_from_a_claimed_domain_is_refused_and_says_what_to_do(api: Api, house: House) -> None:
    Domain.objects.filter(name="house.test").update(verified_at=None)
    mail = {"from": "support@house.test", "to": ["elena@x.example"], "text": "Hello"}
    answer = api.post("/messages", mail)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "from"
    Domain.objects.filter(name="house.test").update(verified_at=timezone.now())
    assert api.post("/messages", mail).status_code == 202


def test_a_mailbox_may_take_what_nobody_has(api: Api, house: House, stranger: House) -> None:
    domain = api.get("/domains").json()["results"][0]
    path = f"/domains/{domain['id']}"
    assert domain["catch_all"] is None
    changed = api.patch(path, {"catch_all": str(house.alices.pk)})
    assert (changed.status_code, changed.json()["catch_all"]) == (200, str(house.alices.pk))
    assert api.get(path).json()["catch_all"] == str(house.alices.pk)
    assert api.patch(path, {}).json()["catch_all"] == str(house.alices.pk)
    refused = api.patch(path, {"catch_all": str(stranger.alices.pk)})
    assert (refused.status_code, "catch_all" in str(refused.json())) == (422, True)
    assert api.patch(path, {"catch_all": None}).json()["catch_all"] is None
    assert Api.of(stranger.secret).patch(path, {"catch_all": None}).status_code == 404
