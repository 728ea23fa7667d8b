"""Large bodies are refused at the ASGI door, before Django spools them to disk."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from apps.api.body_limit import BodyLimit

LIMIT = 1000


class Echo:
    """An application that reads its whole body, and counts what it was given."""

    def __init__(self) -> None:
        self.read = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while True:
            event = await receive()
            self.read += len(event["body"])
            if not event["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def call(chunks: Sequence[int], *, declared: bytes | None = None) -> tuple[list[Any], Echo]:
    """Send chunks of these sizes through the limit; what was sent back, and the application behind it."""
    application, answers = Echo(), []
    events = iter(
        {"type": "http.request", "body": b"a" * size, "more_body": position < len(chunks) - 1}
        for position, size in enumerate(chunks)
    )

    async def receive() -> Any:
        return next(events)

    async def send(event: Any) -> None:
        answers.append(event)

    headers = [(b"content-length", declared)] if declared is not None else []
    scope: Any = {"type": "http", "method": "POST", "path": "/api/v1/messages", "headers": headers}
    await BodyLimit(application, LIMIT, page=str)(scope, receive, send)
    return answers, application


@pytest.mark.parametrize("chunks", [[0], [LIMIT], [500, 500], [1] * LIMIT])
async def test_a_body_within_the_limit_passes(chunks: list[int]) -> None:
    answers, application = await call(chunks)
    assert answers[0]["status"] == 200
    assert application.read == sum(chunks)


async def test_a_declared_length_beyond_the_limit_is_refused_unread() -> None:
    answers, application = await call([LIMIT + 1], declared=b"1001")
    assert application.read == 0
    check_refused(answers)


@pytest.mark.parametrize("declared", [None, b"10", b"-5", b"many"])
async def test_a_body_that_grows_beyond_the_limit_is_cut_off_there(declared: bytes | None) -> None:
    answers, application = await call([600, 600, 600, 600], declared=declared)
    assert application.read == 600
    check_refused(answers)


def check_refused(answers: list[Any]) -> None:
    start, body = answers
    assert start["status"] == 413
    assert dict(start["headers"])[b"content-type"] == b"application/problem+json"
    assert dict(start["headers"])[b"connection"] == b"close"
    assert json.loads(body["body"])["code"] == "too_large"


async def test_other_connections_are_left_alone() -> None:
    seen = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    line: Any = object()
    await BodyLimit(application, LIMIT, page=str)({"type": "websocket"}, line, line)
    assert seen == ["websocket"]
