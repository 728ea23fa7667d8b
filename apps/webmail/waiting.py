"""Answers that wait for something slow, without a thread that waits with them.

There are as many threads for requests as connections to the database: a stranger's server that takes eight seconds
must not keep one. So the view says what it waits for, gives its thread back, and is asked again once that is there
(`mailplatform.http`), or once `PATIENCE_SECONDS` are over.

Limits: only what is read (GET) can wait. Without our door (Django's test client) the view waits in its thread.
"""

from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse

R = TypeVar("R")

PATIENCE_SECONDS = 25.0
# Where the door puts what was waited for, when it asks again.
WAITED_FOR = "mailplatform.waited_for"


class WaitsFor(HttpResponse):
    """No answer yet; `waits_for` is what it needs."""

    def __init__(self, waits_for: Future[Any]) -> None:
        super().__init__(status=503)
        self.waits_for = waits_for
        self.patience_seconds = PATIENCE_SECONDS


def begun(request: HttpRequest, begin: Callable[[], Future[R]]) -> Future[R]:
    """What was begun for this request the first time it was asked, or is begun now."""
    if not isinstance(request, ASGIRequest):
        future = begin()
        wait([future], PATIENCE_SECONDS)
        return future
    waited_for: Future[R] | None = request.scope.get(WAITED_FOR)
    return waited_for or begin()


def must_wait(request: HttpRequest, future: Future[Any]) -> bool:
    """Whether to answer `WaitsFor`: a request waits once."""
    if not isinstance(request, ASGIRequest) or request.method not in {"GET", "HEAD"}:
        return False
    return WAITED_FOR not in request.scope and not future.done()
