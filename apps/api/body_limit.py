"""Refuses a request body that is too large before it has been read, at the ASGI door.

Django spools a whole body to disk before any view or setting of its own can look at it, so an endless upload would
fill the disk. A body that tells its length is refused at once; one that does not (chunked) as soon as it has sent more
than the limit. The answer is a problem (RFC 9457) like every other error of the API, or a page for a browser that sent
a form, and the connection is closed: what is left of the body is not worth reading.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from apps.api.problems import MEDIA_TYPE, too_large

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class BodyTooLarge(Exception):
    """More has arrived than the limit allows."""


class BodyLimit:
    """An ASGI application around another one. `page` makes what people are told."""

    def __init__(self, application: Application, max_bytes: int, *, page: Callable[[], str]) -> None:
        self.application = application
        self.max_bytes = max_bytes
        self.page = page

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        try:
            if _declared_length(scope) > self.max_bytes:
                raise BodyTooLarge
            await self.application(scope, self._counting(receive), send)
        except BodyTooLarge:
            await self._refuse(scope, send)

    async def _refuse(self, scope: Mapping[str, Any], send: Send) -> None:
        problem = too_large()
        body, media_type = json.dumps(problem.as_dict()), MEDIA_TYPE
        if b"text/html" in dict(scope["headers"]).get(b"accept", b""):
            body, media_type = self.page(), "text/html; charset=utf-8"
        headers = {
            "content-type": media_type,
            "content-length": str(len(body.encode())),
            "connection": "close",
        }
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": problem.status, "headers": encoded})
        await send({"type": "http.response.body", "body": body.encode()})

    def _counting(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Mapping[str, Any]:
            nonlocal seen
            event = await receive()
            if event["type"] == "http.request":
                seen += len(event.get("body", b""))
                if seen > self.max_bytes:
                    raise BodyTooLarge
            return event

        return counted


def _declared_length(scope: Mapping[str, Any]) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
