"""Who may call, and how often."""

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from apps.accounts import request_rate
from apps.accounts.models import ApiKey, Role
from apps.accounts.services import create_api_key
from tests.api.client import Api
from tests.people import House
from tests.servers import Servers


@pytest.fixture
def agents_secret(house: House) -> str:
    return create_api_key(house.organisation, name="agent", role=Role.AGENT, user=house.alice)[1]


@pytest.mark.parametrize("secret", ["", "mp_wrong", "näh", "a b", "\x7f"])
def test_no_key_or_a_wrong_one_is_401_and_says_how_to_send_one(house: House, secret: str) -> None:
    answer = Api.of(secret).get("/messages")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_key_and_one_of_somebody_who_left_are_401(house: House, agents_secret: str) -> None:
    assert Api.of(agents_secret).get("/mailboxes").status_code == 200
    house.alice.is_active = False
    house.alice.save()
    assert Api.of(agents_secret).get("/mailboxes").status_code == 401
    ApiKey.objects.filter(pk=house.key.pk).update(revoked_at=timezone.now())
    assert Api.of(house.secret).get("/mailboxes").status_code == 401


def test_a_browser_session_is_no_key(house: House) -> None:
    browser = Client()
    browser.force_login(house.alice)
    assert browser.get("/api/v1/messages").status_code == 401


def test_another_scheme_is_401(house: House) -> None:
    answer = Client().get("/api/v1/messages", headers={"Authorization": f"Basic {house.secret}"})
    assert answer.status_code == 401


def test_a_key_beyond_its_rate_is_429_and_told_when_to_come_back(
    agents_secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_rate, "REQUESTS_PER_MINUTE", 3)
    monkeypatch.setattr(request_rate, "time", lambda: 6000.0 + 18)
    api = Api.of(agents_secret)
    assert [api.get("/mailboxes").status_code for _request in range(5)] == [200, 200, 200, 429, 429]
    answer = api.get("/mailboxes")
    assert (answer.json()["code"], answer.headers["Retry-After"]) == ("throttled", "42")
    monkeypatch.setattr(request_rate, "time", lambda: 6000.0 + 60)
    assert api.get("/mailboxes").status_code == 200


def test_the_organisations_admin_key_has_no_rate(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_rate, "REQUESTS_PER_MINUTE", 0)
    assert api.get("/mailboxes").status_code == 200


def test_requests_pass_while_redis_is_away(
    agents_secret: str, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_rate, "REQUESTS_PER_MINUTE", 0)
    servers.valkey.stop()
    assert Api.of(agents_secret).get("/mailboxes").status_code == 200


def test_a_counter_that_was_evicted_lets_the_request_pass(
    agents_secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evicted(key: str, *_rest: Any) -> int:
        raise ValueError(key)

    monkeypatch.setattr(request_rate, "REQUESTS_PER_MINUTE", 0)
    monkeypatch.setattr(cache, "incr", evicted)
    assert Api.of(agents_secret).get("/mailboxes").status_code == 200
