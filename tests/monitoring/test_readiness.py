import json
import threading
from typing import Any

import pytest
from django.test import Client, override_settings

from apps.blobs.errors import ObjectStoreUnavailable
from apps.blobs.object_store import object_store
from apps.monitoring.heartbeat import PROCESS_KINDS, Heartbeat, ProcessKind, connect, living
from tests.people import House

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nobody_alive() -> None:
    connect().flushdb()


def wait_for_beat(kind: ProcessKind) -> None:
    for _ in range(500):
        if living(connect())[kind]:
            return
        threading.Event().wait(0.01)
    pytest.fail(f"{kind} was not heard of")


def ready(client: Client) -> tuple[int, dict[str, str]]:
    response = client.get("/readyz")
    return response.status_code, json.loads(response.content)["checks"]


def test_alive_needs_no_server(client: Client) -> None:
    assert client.get("/healthz").status_code == 200


def test_ready_only_when_every_process_is_heard_of(client: Client) -> None:
    status, checks = ready(client)
    assert status == 503
    assert {name for name, said in checks.items() if said != "ok"} == set(PROCESS_KINDS)
    hearts = [Heartbeat(kind, check=lambda: True) for kind in PROCESS_KINDS]
    for heart in hearts:
        heart.start()
    for kind in PROCESS_KINDS:
        wait_for_beat(kind)
    assert ready(client) == (200, dict.fromkeys(checks, "ok"))
    for heart in hearts:
        heart.stop()
    assert ready(client)[0] == 503


def test_a_process_that_fails_its_own_check_is_not_heard_of() -> None:
    asked = threading.Event()

    def check() -> bool:
        asked.set()
        return False

    heart = Heartbeat("work", check=check)
    heart.start()
    assert asked.wait(5)
    assert living(connect())["work"] == 0
    heart.stop()


def test_a_store_that_is_away_is_named_without_its_address(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: Any) -> None:
        raise ObjectStoreUnavailable("http://10.0.0.1 refused key SECRET")

    monkeypatch.setattr(object_store(), "check", away)
    status, checks = ready(client)
    assert status == 503
    assert checks["object_store"] == "ObjectStoreUnavailable"


def test_figures_are_for_this_machine_or_the_token(client: Client, house: House) -> None:
    body = client.get("/metrics").content.decode()
    assert "blobs_spooled 0.0" in body
    assert house.domain not in body
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.1").status_code == 404
    assert client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 404
    with override_settings(METRICS_TOKEN="token"):
        assert client.get("/metrics").status_code == 404
        given = {"Authorization": "Bearer token"}
        assert client.get("/metrics", headers=given, REMOTE_ADDR="192.0.2.1").status_code == 200
