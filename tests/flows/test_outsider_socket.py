"""The outsider at the sockets: a signed-in browser of another organisation hears of its own mailboxes only."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.test import Client

from apps.accounts.models import User
from apps.events.notices import REMEMBERED_MS, announce
from apps.live.routing import websocket_urlpatterns
from apps.mailboxes.models import Mailbox
from mailplatform.asgi import application
from tests.people import House

DEADLINE_SECONDS = 10
PATHS = [f"/{route.pattern}" for route in websocket_urlpatterns]


@sync_to_async
def cookie_of(user: User | None) -> bytes:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client.cookies.output(header="", sep=";").encode()


@sync_to_async
def tell(*mailboxes: Mailbox) -> None:
    for mailbox in mailboxes:
        announce([mailbox.pk])


class Line:
    """A browser's end of a socket. channels.testing would do the same, but asks for a server we do not install."""

    def __init__(self, path: str, cookie: bytes, origin: str) -> None:
        headers = [
            (b"cookie", cookie),
            (b"origin", origin.encode()),
            (b"host", urlsplit(settings.WEB_ORIGIN).netloc.encode()),
        ]
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": b"",
            "headers": headers,
            "subprotocols": [],
        }
        self.wire: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]

    async def connect(self) -> bool:
        """Whether the product takes the line."""
        await self.wire.send_input({"type": "websocket.connect"})
        return bool((await self.next_event())["type"] == "websocket.accept")

    async def next_event(self) -> dict[str, Any]:
        event: dict[str, Any] = await self.wire.receive_output(timeout=DEADLINE_SECONDS)
        return event

    async def next_frame(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads((await self.next_event())["text"])
        return frame

    async def hang_up(self) -> None:
        await self.wire.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.wire.wait(timeout=DEADLINE_SECONDS)


async def line_of(path: str, user: User | None, origin: str = settings.WEB_ORIGIN) -> Line:
    return Line(path, await cookie_of(user), origin)


def test_the_walk_knows_what_to_connect_to() -> None:
    assert PATHS
    assert not [path for path in PATHS if "<" in path], "teach this walk what to put into the parameters"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", PATHS)
async def test_a_socket_tells_nothing_of_somebody_elses_mailboxes(
    path: str, house: House, stranger: House
) -> None:
    line = await line_of(path, stranger.alice)
    assert await line.connect()
    assert await line.next_frame() == {"hello": True, "quiet_ms": REMEMBERED_MS}
    # Told in this order by one thread: had the first two been for this line, they would arrive before the third.
    await tell(house.support, house.alices, stranger.support)
    assert (await line.next_frame())["mailbox"] == str(stranger.support.pk)
    await line.hang_up()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", PATHS)
async def test_a_socket_stays_closed_to_who_is_not_signed_in_and_to_other_sites(
    path: str, house: House
) -> None:
    unknown = await line_of(path, None)
    if await unknown.connect():
        assert (await unknown.next_event())["type"] == "websocket.close"
    elsewhere = await line_of(path, house.alice, origin="https://evil.example")
    assert not await elsewhere.connect()
