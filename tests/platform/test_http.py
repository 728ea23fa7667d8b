"""HTTP's door: a request is answered whole by one thread, and by as many at a time as there are."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import rest_framework
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import translation

from apps.webmail import waiting
from apps.webmail.waiting import WaitsFor, begun, must_wait
from mailplatform.http import HttpHandler

SEEN: list[tuple[str, str]] = []
TWO_AT_A_TIME = threading.Barrier(2, timeout=10)


def look(request: HttpRequest) -> HttpResponse:
    SEEN.append((threading.current_thread().name, translation.get_language()))
    translation.activate("de")
    answer = HttpResponse(request.body, status=201)
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer


def wait_for_another(_request: HttpRequest) -> HttpResponse:
    TWO_AT_A_TIME.wait()
    return HttpResponse()


SLOW: list[Future[str]] = []


def wait_for_something_slow(request: HttpRequest) -> HttpResponse:
    slow = begun(request, lambda: SLOW[0])
    if must_wait(request, slow):
        return WaitsFor(slow)
    return HttpResponse(slow.result(timeout=0) if slow.done() else "not yet")


urlpatterns = [path("look", look), path("wait", wait_for_another), path("slow", wait_for_something_slow)]


@pytest.fixture(autouse=True)
def _urls(settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = __name__
    SEEN.clear()
    yield
    SEEN.clear()


async def ask(
    handler: HttpHandler, to: str, *body: bytes, host: str = "127.0.0.1"
) -> list[Mapping[str, Any]]:
    """What the handler sends."""
    events = [
        {"type": "http.request", "body": part, "more_body": n < len(body)} for n, part in enumerate(body, 1)
    ] or [{"type": "http.request"}]
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        return events.pop(0)

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"host", host.encode()), (b"content-length", str(sum(map(len, body))).encode())]
    await handler(
        {"type": "http", "method": "GET", "path": to, "query_string": b"", "headers": headers}, receive, send
    )
    return sent


def test_an_answer_has_its_status_its_content_and_every_cookie() -> None:
    start, content = asyncio.run(ask(HttpHandler(threads=1), "/look", b"one ", b"body"))
    assert start["status"] == 201
    assert [value.split(b";")[0] for name, value in start["headers"] if name == b"Set-Cookie"] == [
        b"a=1",
        b"b=2",
    ]
    assert content == {"type": "http.response.body", "body": b"one body", "more_body": False}


def test_what_a_request_sets_is_forgotten_with_it() -> None:
    async def twice(handler: HttpHandler) -> None:
        await ask(handler, "/look")
        await ask(handler, "/look")

    asyncio.run(twice(HttpHandler(threads=1)))
    (first, language), (second, language_again) = SEEN
    assert first == second
    assert (language, language_again) == ("en", "en")


def test_requests_are_worked_on_side_by_side() -> None:
    async def both(handler: HttpHandler) -> list[list[Mapping[str, Any]]]:
        return list(await asyncio.gather(ask(handler, "/wait"), ask(handler, "/wait")))

    for start, _content in asyncio.run(both(HttpHandler(threads=2))):
        assert start["status"] == 200


def test_what_waits_for_something_slow_keeps_no_thread() -> None:
    SLOW[:] = [Future()]

    async def both(handler: HttpHandler) -> tuple[Any, Any]:
        slow = asyncio.create_task(ask(handler, "/slow"))
        # With one thread these are answered one after the other, so the slow one has been asked for by then.
        await asyncio.sleep(0)
        quick = [await ask(handler, "/look") for _n in range(2)]
        SLOW[0].set_result("there")
        return await slow, quick[-1]

    (start, content), quick = asyncio.run(both(HttpHandler(threads=1)))
    assert (start["status"], content["body"]) == (200, b"there")
    assert quick[0]["status"] == 201


def test_who_has_waited_long_enough_is_answered_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 0.01)
    SLOW[:] = [Future()]
    _start, content = asyncio.run(ask(HttpHandler(threads=1), "/slow"))
    assert content["body"] == b"not yet"


def test_a_file_is_sent_whole_however_long_it_is() -> None:
    name = "css/bootstrap.min.css"
    written = (Path(rest_framework.__file__).parent / "static/rest_framework" / name).read_bytes()
    start, *contents = asyncio.run(ask(HttpHandler(threads=1), f"/static/rest_framework/{name}"))
    assert start["status"] == 200
    assert len(contents) > 1
    assert b"".join(one["body"] for one in contents) == written


def test_who_hangs_up_before_the_end_of_a_request_is_not_answered() -> None:
    sent: list[Mapping[str, Any]] = []

    async def hang_up() -> Mapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/look", "query_string": b"", "headers": []}
    asyncio.run(HttpHandler(threads=1)(scope, hang_up, send))
    assert sent == []
    assert SEEN == []
