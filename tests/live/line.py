"""A live line without a network: the ASGI messages a server would pass on."""

import json
from typing import Any

from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.test import Client

from apps.accounts.models import User
from mailplatform.asgi import application

PATIENCE_SECONDS = 5


class Line:
    """One browser's WebSocket. (Channels' own needs Daphne, which we do not use.)"""

    def __init__(self, cookie: bytes = b"", origin: str = settings.WEB_ORIGIN) -> None:
        headers = [(b"origin", origin.encode()), (b"host", b"127.0.0.1"), (b"cookie", cookie)]
        scope = {
            "type": "websocket",
            "path": "/live/",
            "query_string": b"",
            "headers": headers,
            "subprotocols": [],
        }
        self.is_broken = False
        self._asgi: Any = ApplicationCommunicator(self._served, scope)  # type: ignore[no-untyped-call]

    async def _served(self, scope: Any, receive: Any, send: Any) -> None:
        """As a server does it: what is sent over a line that `is_broken` raises OSError."""

        async def say(message: Any) -> None:
            if self.is_broken:
                raise OSError
            await send(message)

        await application(scope, receive, say)

    async def connect(self, patience_seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The server's first word: `websocket.accept` or `websocket.close`."""
        await self._asgi.send_input({"type": "websocket.connect"})
        answer: dict[str, Any] = await self._asgi.receive_output(timeout=patience_seconds)
        return answer

    async def say(self, text: str) -> None:
        await self._asgi.send_input({"type": "websocket.receive", "text": text})

    async def say_bytes(self, content: bytes) -> None:
        await self._asgi.send_input({"type": "websocket.receive", "bytes": content})

    async def hear(self) -> dict[str, Any]:
        message = await self._asgi.receive_output(timeout=PATIENCE_SECONDS)
        assert message["type"] == "websocket.send", message
        heard: dict[str, Any] = json.loads(message["text"])
        return heard

    async def ping(self) -> None:
        """Say that one is still there, and hear that the server is, too."""
        await self.say('{"ping": true}')
        assert await self.hear() == {"pong": True}

    async def close_code(self) -> int:
        message = await self._asgi.receive_output(timeout=PATIENCE_SECONDS)
        assert message["type"] == "websocket.close", message
        return int(message["code"])

    async def leave(self) -> None:
        await self._asgi.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._asgi.wait(timeout=PATIENCE_SECONDS)


async def open_line(user: User) -> Line:
    """The line of somebody signed in, greeted."""
    opened = Line(await sync_to_async(cookie_of)(user))
    assert (await opened.connect())["type"] == "websocket.accept"
    assert (await opened.hear())["hello"] is True
    return opened


def cookie_of(user: User) -> bytes:
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}".encode()
