"""The outsider at the sockets: a signed-in browser of another organisation hears of its own mailboxes only."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client

from apps.accounts.models import User
from apps.events.notices import announce
from apps.live.routing import websocket_urlpatterns
from apps.mailboxes.models import Mailbox
from mailplatform.asgi import application
from tests.people import House

PATHS = [f"/{pattern.pattern}" for pattern in websocket_urlpatterns]


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


async def connect(path: str, user: User | None, origin: str = settings.WEB_ORIGIN) -> Any:
    headers = [
        (b"cookie", await cookie_of(user)),
        (b"origin", origin.encode()),
        (b"host", urlsplit(settings.WEB_ORIGIN).netloc.encode()),
    ]
    return WebsocketCommunicator(application, path, headers=headers)


async def next_notice(line: Any) -> dict[str, Any]:
    """The next frame that tells of a mailbox."""
    while True:
        frame: dict[str, Any] = json.loads(await line.receive_from(timeout=10))
        if "mailbox" in frame:
            return frame


def test_the_walk_knows_what_to_connect_to() -> None:
    assert PATHS
    assert not [path for path in PATHS if "<" in path], "teach this walk what to put into the parameters"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", PATHS)
async def test_a_socket_tells_nothing_of_somebody_elses_mailboxes(
    path: str, house: House, stranger: House
) -> None:
    line = await connect(path, stranger.alice)
    connected, _subprotocol = await line.connect()
    assert connected
    assert json.loads(await line.receive_from(timeout=10)) == {"hello": True}
    # Told in this order by one thread: had the first two been for this line, they would arrive before the third.
    await tell(house.support, house.alices, stranger.support)
    assert (await next_notice(line))["mailbox"] == str(stranger.support.pk)
    await line.disconnect()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", PATHS)
async def test_a_socket_stays_closed_to_who_is_not_signed_in_and_to_other_sites(
    path: str, house: House
) -> None:
    unknown = await connect(path, None)
    connected, _code = await unknown.connect()
    if connected:
        closed = await unknown.receive_output(timeout=10)
        assert closed["type"] == "websocket.close"
    elsewhere = await connect(path, house.alice, origin="https://evil.example")
    connected, _code = await elsewhere.connect()
    assert not connected
