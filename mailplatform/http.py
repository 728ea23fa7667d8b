"""HTTP's door to Django: one thread takes a request all the way, middleware, view, database and answer.

Django's own handler gives each middleware to the event loop and has it brought back: a request for the API went to a
thread and came back a dozen times, and to a thread that was made for it. That cost more CPU than what was asked for.
Nothing of ours below this door is a coroutine, so the loop reads the request, one of a fixed number of threads answers
it whole, and the loop writes the answer.

An answer may wait for something slow without its thread (`WaitsFor`): the loop waits, then a thread is asked again.

A client that hangs up is answered all the same: what it asked for is done, or not, but never half.

Limits: a streamed answer (a static file) is gathered before it is sent.
"""

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from typing import IO, Any, cast

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from apps.webmail.waiting import WAITED_FOR, WaitsFor

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
# The message that starts an answer, and its content.
Answer = tuple[dict[str, Any], bytes]


class HttpHandler(ASGIHandler):
    """Django as an ASGI application for HTTP. `threads` is how many requests are worked on at a time."""

    def __init__(self, *, threads: int) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="http")

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: FBT001, FBT002  # Django's signature
        """Always for calls from a thread."""
        super().load_middleware(is_async=False)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        answer = await self._in_thread(scope, body)
        while isinstance(answer, WaitsFor):  # once: who is asked again waits no more
            await _until_there(answer.waits_for, answer.patience_seconds)
            answer = await self._in_thread({**scope, WAITED_FOR: answer.waits_for}, io.BytesIO())
        start, content = answer
        await send(start)
        for chunk, is_last in self.chunk_bytes(content):
            await send({"type": "http.response.body", "body": chunk, "more_body": not is_last})

    async def _in_thread(self, scope: dict[str, Any], body: IO[bytes]) -> Answer | WaitsFor:
        # In a context of its own: what a request sets is forgotten with it.
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: Context().run(self._answer, scope, body)
        )

    def _answer(self, scope: dict[str, Any], body: IO[bytes]) -> Answer | WaitsFor:
        with body:
            set_script_prefix(get_script_prefix(scope))
            signals.request_started.send(sender=self.__class__, scope=scope)
            request, refusal = self.create_request(scope, body)
            # One of the two is there.
            response = refusal or self.get_response(cast("ASGIRequest", request))
            try:
                return response if isinstance(response, WaitsFor) else (_start(response), response.getvalue())
            finally:
                response.close()


async def _until_there(future: Future[Any], seconds: float) -> None:
    """Until it is done, one way or another, or the time is over."""
    there, loop = asyncio.Event(), asyncio.get_running_loop()

    def tell(_future: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and so has everybody who waited
            loop.call_soon_threadsafe(there.set)

    future.add_done_callback(tell)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(there.wait(), seconds)


def _start(response: HttpResponseBase) -> dict[str, Any]:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    headers += [
        (b"Set-Cookie", cookie.output(header="").strip().encode("ascii"))
        for cookie in response.cookies.values()
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}
