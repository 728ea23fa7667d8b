"""What the API answers while something it needs is away, and when something breaks that nobody foresaw."""

from typing import Any

import pytest
from django.db import connection

from apps.api.views import mailboxes
from apps.blobs.offloading import offload
from apps.blobs.services import SPOOL_BOUND_BYTES
from tests.api.client import Api
from tests.arrivals import arrive
from tests.mail import raw_mail
from tests.people import House
from tests.servers import Servers


def check_unavailable(answer: Any, code: str) -> None:
    assert answer.status_code == 503
    assert answer.json()["code"] == code
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_is_503_and_found_again(servers: Servers, house: House) -> None:
    api = Api.of(house.secret)
    assert api.get("/mailboxes").status_code == 200
    servers.postgres.stop()
    try:
        check_unavailable(api.get("/mailboxes"), "database_away")
        check_unavailable(api.post("/messages", {"from": "support@house.test"}), "database_away")
    finally:
        servers.postgres.restart()
        connection.close()
    assert api.get("/mailboxes").status_code == 200


def test_large_bytes_are_503_while_the_object_store_is_away(servers: Servers, house: House, api: Api) -> None:
    raw = raw_mail(text="large\r\n" * SPOOL_BOUND_BYTES)
    large = arrive(house.support, raw)
    small = arrive(house.support, message_id="small@x.example")
    servers.s3.stop()
    check_unavailable(api.get(f"/messages/{large.pk}/raw"), "object_store_away")
    assert api.get(f"/messages/{small.pk}").json()["text"].startswith("Hello")
    assert len(api.get("/messages?limit=1").json()["results"]) == 1
    check_unavailable(api.get("/messages"), "object_store_away")
    servers.s3.restart()
    assert api.get(f"/messages/{large.pk}/raw").content == raw


def test_bytes_are_the_same_after_they_moved_to_the_object_store(house: House, api: Api) -> None:
    raw = raw_mail()
    message = arrive(house.support, raw)
    assert offload() > 0
    assert api.get(f"/messages/{message.pk}/raw").content == raw


def test_what_nobody_foresaw_is_a_500_that_tells_nothing_of_itself(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_principal: object) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(mailboxes, "visible_mailboxes", broken)
    answer = api.get("/mailboxes")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert b"secret" not in answer.content
