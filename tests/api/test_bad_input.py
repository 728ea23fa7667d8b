"""Bad input is 422 naming the field, and never a 500."""

import base64
import json
from typing import Any

import pytest

from apps.tickets.models import Ticket
from tests.api.client import Api
from tests.arrivals import arrive
from tests.people import House

GOOD = {"from": "support@house.test", "to": ["elena@customer.example"], "subject": "Hello", "text": "Hello"}
ATTACHMENT = {"filename": "a.txt", "content": "aGVsbG8="}


def problem(answer: Any, status: int = 422) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    return told


def fields(answer: Any) -> set[str]:
    return {error["field"] for error in problem(answer)["errors"]}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"from": "support@house.test",', "column 31"),
        (b"", "from"),
        (b"[1, 2", "line 1"),
        (b'{"subject": "\xff"}', "byte 13"),
        (b'{"hold_seconds": NaN}', "NaN"),
        (b'{"hold_seconds": ' + b"9" * 5000 + b"}", "Not JSON"),
        (b"[" * 100_000, "deeply"),
        (b'{"subject": "a", "subject": "b"}', "twice"),
        (b'"text"', "body"),
        (b"null", "body"),
        (b"[]", "body"),
    ],
)
def test_malformed_json_is_told_with_its_place(api: Api, body: bytes, says: str) -> None:
    assert says in json.dumps(problem(api.post("/messages", body)))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sbject": "Hello"}, "sbject"),
        ({"from": None}, "from"),
        ({"from": 5}, "from"),
        ({"to": "elena@customer.example"}, "to"),
        ({"to": ["elena@customer.example", 5]}, "to[1]"),
        ({"to": [{"address": "elena@customer.example"}]}, "to[0]"),
        ({"to": ["x@y.example"] * 1001}, "to"),
        ({"cc": [""]}, "cc[0]"),
        ({"subject": "a\x00b"}, "subject"),
        ({"subject": "\ud800"}, "subject"),
        ({"text": 5}, "text"),
        ({"text": "\udfff"}, "text"),
        ({"headers": {"X-A": 1}}, "headers.X-A"),
        ({"headers": {"X-A": "\x00"}}, "headers.X-A"),
        ({"headers": {"X-\x00": "a"}}, "headers.X-\x00"),
        ({"\ud800": 1}, "\\ud800"),
        ({"headers": {"From": "a"}}, "headers.From"),
        ({"headers": {"X-A": "b\r\nBcc: c@d.example"}}, "headers.X-A"),
        ({"headers": []}, "headers"),
        ({"attachments": [ATTACHMENT, {"filename": "a", "content": "a*b="}]}, "attachments[1].content"),
        ({"attachments": [{"filename": "a", "content": "YQ"}]}, "attachments[0].content"),
        ({"attachments": [{"filename": "a", "content": 5}]}, "attachments[0].content"),
        ({"attachments": [{"filename": "a", "content": "\u00e9"}]}, "attachments[0].content"),
        ({"attachments": [{"content": "YQ=="}]}, "attachments[0].filename"),
        ({"attachments": [ATTACHMENT | {"size": 5}]}, "attachments[0].size"),
        ({"attachments": {"filename": "a"}}, "attachments"),
        ({"attachments": ["a"]}, "attachments[0]"),
        ({"send_at": "tomorrow"}, "send_at"),
        ({"hold_seconds": -1}, "hold_seconds"),
        ({"hold_seconds": "soon"}, "hold_seconds"),
        ({"tags": [""]}, "tags[0]"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": ["\x00"]}}, "metadata"),
        ({"metadata": {"\ud800": 1}}, "metadata"),
        ({"metadata": {"a": "b" * 20_000}}, "metadata"),
        ({"metadata": {"a": json.loads("[" * 900 + "]" * 900)}}, "metadata"),
        ({"from": "alice@stranger.test"}, "from"),
        ({"from": "support@house.test, alice@house.test"}, "from"),
        ({"to": []}, "to"),
        ({"to": ["nobody"]}, "to[0]"),
        ({"bcc": ["a@b.example", "a b@c.example"]}, "bcc[1]"),
        ({"hold_seconds": 10**30}, "hold_seconds"),
        ({"send_at": "2001-01-01T00:00:00Z"}, "send_at"),
        ({"send_at": "9999-01-01T00:00:00Z"}, "send_at"),
        ({"priority": "very"}, "priority"),
        ({"in_reply_to": "nothing"}, "in_reply_to"),
        ({"in_reply_to": "0190b7a0-0000-7000-8000-000000000000"}, "in_reply_to"),
        ({"attachments": [ATTACHMENT | {"content_type": "text"}]}, "attachments[0].content_type"),
        ({"attachments": [ATTACHMENT | {"content_id": "a b"}]}, "attachments[0].content_id"),
    ],
)
def test_a_wrong_field_is_named(api: Api, change: dict[str, Any], field: str) -> None:
    assert fields(api.post("/messages", GOOD | change)) == {field}


def test_all_wrong_fields_are_named_at_once(api: Api) -> None:
    assert fields(api.post("/messages", {"to": [1, "a@b.example", 2], "text": 1})) == {
        "from",
        "to[0]",
        "to[2]",
        "text",
    }


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=many",
        "folder=attic",
        "state=lost",
        "mailbox=5",
        "q=%00",
        "colour=red",
        "cursor=",
        "cursor=cD1hYmM=",
        "cursor=%F0%9F%92%A9",
        "cursor=WzEsIjIwMjYiLCJ4Il0",
        "cursor=WzFd",
        "cursor=bnVsbA",
    ],
)
def test_a_wrong_query_parameter_is_named(api: Api, query: str) -> None:
    assert fields(api.get(f"/messages?{query}")) == {query.partition("=")[0]}


def test_a_crafted_cursor_is_a_position_or_an_error(house: House, api: Api) -> None:
    """DRF's own cursor pagination answered 500 to some of these."""
    arrive(house.support)
    row_id = "00000000-0000-7000-8000-000000000000"
    for fields_ in (
        [1, "0001-01-01T00:00:00+14:00", row_id],
        [0, "9999-12-31T23:59:59-14:00", row_id],
        [1, "2026-03-02T09:00:00", row_id],
        [1, "2026-03-02T09:00:00+00:00", "5"],
        [{}, "2026-03-02T09:00:00+00:00", row_id, 4],
        [1, 5, row_id],
    ):
        cursor = base64.urlsafe_b64encode(json.dumps(fields_).encode()).decode().rstrip("=")
        for path in ("/messages", "/tickets"):
            assert api.get(f"{path}?cursor={cursor}").status_code in {200, 422}


def test_a_wrong_change_to_a_ticket_names_the_field_and_changes_nothing(house: House, api: Api) -> None:
    arrive(house.support)
    ticket = Ticket.objects.get()
    stranger_id = "0190b7a0-0000-7000-8000-000000000000"
    for body, field in (
        ({"state": "done"}, "state"),
        ({"priority": "very"}, "priority"),
        ({"assignee": "bob"}, "assignee"),
        ({"assignee": stranger_id}, "assignee"),
        ({"tags": "vip"}, "tags"),
        ({"state": "solved", "colour": "red"}, "colour"),
    ):
        assert fields(api.patch(f"/tickets/{ticket.pk}", body)) == {field}
    assert fields(api.post(f"/tickets/{ticket.pk}/notes", {"text": "  "})) == {"text"}
    assert fields(api.post(f"/tickets/{ticket.pk}/notes", {})) == {"text"}
    assert fields(api.post(f"/tickets/{ticket.pk}/replies", {"body": "Hello"})) == {"body"}
    unchanged = Ticket.objects.get()
    assert (unchanged.state, unchanged.priority, unchanged.tags) == ("open", "normal", [])
    assert not unchanged.notes.exists()


def test_another_media_type_is_415(api: Api) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = api.call("POST", "/messages", b"from=support", content_type=media_type)
        assert problem(answer, 415)["code"] == "unsupported_media_type"


def test_a_charset_parameter_changes_nothing(api: Api) -> None:
    for charset in ("utf-16", "no-such", "bz2_codec"):
        media_type = f"application/json; charset={charset}"
        assert fields(api.call("POST", "/messages", b'{"x": 1}', content_type=media_type)) == {"x"}


def test_another_method_is_405_and_says_which_there_are(api: Api) -> None:
    answer = api.call("DELETE", "/messages")
    assert problem(answer, 405)["code"] == "method_not_allowed"
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST", "HEAD"}
    assert problem(api.call("OPTIONS", "/queue"), 405)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/messages/1",
        "/api/v1/messages/0190b7a0-0000-7000-8000-000000000000",
        "/api/v1/messages/",
        "/api/v1/nothing",
        "/api/v2/messages",
        "/api/",
        "/api/nothing/",
    ],
)
def test_what_is_not_there_is_a_404_problem(api: Api, path: str) -> None:
    assert problem(api.get(path), 404)["code"] == "not_found"


def test_a_body_beyond_the_limit_is_413(api: Api, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert problem(api.post("/messages", GOOD | {"text": "a" * 1000}), 413)["code"] == "too_large"


@pytest.mark.parametrize("key", ["", "a" * 256, "näh", "a\tb"])
def test_an_unusable_idempotency_key_is_named(api: Api, key: str) -> None:
    assert fields(api.post("/messages", GOOD, Idempotency_Key=key)) == {"Idempotency-Key"}
