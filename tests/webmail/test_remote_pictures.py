"""A mail's pictures from elsewhere on the page and in its frame: held, asked for, trusted, and never for others."""

import asyncio
import re
from collections.abc import Iterator
from html import unescape
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as configured
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from apps.mailboxes.models import Folder, Message
from apps.webmail.content_tokens import ContentClaim, ContentKind, content_url, remote_url
from mailplatform.http import HttpHandler
from tests.arrivals import arrive
from tests.fetching.far_server import FarServer, far_server
from tests.mime.mails import mail
from tests.mime.test_unwrap import FORWARDED, forward
from tests.people import House
from tests.pictures import picture
from tests.platform.test_http import ask
from tests.polling import wait_until

CONTENT_HOST = urlsplit(configured.CONTENT_ORIGIN).netloc
PROVEN = {"dmarc": {"result": "pass", "reason": "", "domain": "shop.example", "proven_by": "signature"}}
UNPROVEN = {"dmarc": {"result": "none", "reason": "", "domain": "shop.example"}}
FORGED = {"dmarc": {"result": "fail", "reason": "", "domain": "shop.example", "policy": "reject"}}


@pytest.fixture
def far(settings: Settings) -> Iterator[FarServer]:
    settings.FETCH_ALLOWED_NETWORKS = (ip_network("127.0.0.0/8"),)
    with far_server() as one:
        yield one


@pytest.fixture
def content() -> Client:
    return Client(HTTP_HOST=CONTENT_HOST)


def newsletter(house: House, *addresses: str, found: dict[str, Any] | None = None) -> Message:
    pictures = "".join(f'<img src="{one}" alt="Lamp">' for one in addresses)
    html = f'<p>News</p>{pictures}<img src="http://spy.example/p.gif" width="1" height="1">'
    head = "From: News <news@shop.example>\r\nTo: support@house.test\r\nContent-Type: text/html\r\n\r\n"
    checks = {name: {"result": "none", "reason": ""} for name in ("dkim", "spf", "arc")}
    return arrive(house.support, (head + html).encode(), authentication=checks | found if found else None)


def page_of(client: Client, house: House, message: Message) -> str:
    place = [house.support.pk, Folder.INBOX, message.thread_id]
    return client.get(reverse("webmail:conversation", args=place)).content.decode()


def look(client: Client, house: House, message: Message, **chosen: str) -> Any:
    return client.post(reverse("webmail:look", args=[house.support.pk, message.pk]), chosen)


def frame_of(page: str, kind: str = "body") -> str:
    found = re.search(rf'src="([^"]+/content/{kind}/[^"]+)"', page)
    assert found
    return unescape(found[1]).removeprefix(configured.CONTENT_ORIGIN)


def test_nothing_is_asked_for_until_a_person_asks(
    house: House, alice: Client, content: Client, far: FarServer
) -> None:
    message = newsletter(house, far.serve("/lamp.png", picture()))
    page = page_of(alice, house, message)
    assert "Show pictures" in page
    assert "1 tracking pixel was left out." in page
    body = content.get(frame_of(page)).content.decode()
    assert " src=" not in body
    assert far.asked == []


def test_who_asks_sees_them_through_us_and_sees_them_again(
    house: House, alice: Client, content: Client, far: FarServer
) -> None:
    message = newsletter(house, far.serve("/lamp.png", picture()))
    answer = look(alice, house, message, pictures="shown").json()
    assert "pictures=shown" in answer["html"]
    page = page_of(alice, house, message)
    body = content.get(frame_of(page)).content.decode()
    sources = re.findall(r' src="([^"]+)"', body)
    assert len(sources) == 1
    assert "spy.example" not in sources[0]
    shown = content.get(sources[0].removeprefix(configured.CONTENT_ORIGIN))
    assert (shown.status_code, shown["Content-Type"]) == (200, "image/webp")
    assert shown["X-Content-Type-Options"] == "nosniff"
    assert shown["Referrer-Policy"] == "no-referrer"
    assert not shown.cookies
    assert [one.path for one in far.asked] == ["/lamp.png"]


def test_what_one_person_sees_another_has_to_ask_for(house: House, alice: Client) -> None:
    message = newsletter(house, "http://far.example/a.png")
    look(alice, house, message, pictures="shown")
    alice.force_login(house.bob)
    assert "pictures=shown" not in page_of(alice, house, message)


@pytest.mark.parametrize(
    ("found", "later", "shown"),
    [
        (PROVEN, PROVEN, True),
        (PROVEN, UNPROVEN, False),
        (UNPROVEN, UNPROVEN, True),
        (UNPROVEN, FORGED, False),
        (None, None, True),
    ],
)
def test_a_trusted_senders_pictures_are_shown_where_the_mail_is_theirs(
    house: House, alice: Client, found: dict[str, Any], later: dict[str, Any], *, shown: bool
) -> None:
    look(alice, house, newsletter(house, "http://far.example/a.png", found=found), pictures="always")
    page = page_of(alice, house, newsletter(house, "http://far.example/b.png", found=later))
    assert ("pictures=shown" in page) == shown


def test_trust_is_taken_back(house: House, alice: Client) -> None:
    message = newsletter(house, "http://far.example/a.png")
    look(alice, house, message, pictures="always")
    assert "Only when I ask" in page_of(alice, house, message)
    look(alice, house, message, pictures="asked")
    assert "pictures=shown" not in page_of(alice, house, message)


def test_a_forged_mails_sender_cannot_be_trusted(house: House, alice: Client) -> None:
    message = newsletter(house, "http://far.example/a.png", found=FORGED)
    assert "Always from this sender" not in page_of(alice, house, message)


def test_only_we_can_make_the_proxy_fetch(
    house: House, stranger: House, content: Client, far: FarServer
) -> None:
    message = newsletter(house, url := far.serve("/a.png", picture()))

    def asked(claim: ContentClaim, **headers: str) -> int:
        path = remote_url(claim, url, timezone.now()).removeprefix(configured.CONTENT_ORIGIN)
        return content.get(path, headers=headers).status_code

    assert asked(ContentClaim(message.pk, stranger.alice.pk)) == 404
    assert asked(ContentClaim(message.pk, house.alice.pk), **{"Sec-Fetch-Dest": "document"}) == 404
    body = content_url(ContentKind.BODY, ContentClaim(message.pk, house.alice.pk), timezone.now())
    token = urlsplit(body).path.rstrip("/").rpartition("/")[2]
    assert content.get(f"/content/remote/{token}/").status_code == 404
    assert far.asked == []
    assert asked(ContentClaim(message.pk, house.alice.pk), **{"Sec-Fetch-Dest": "image"}) == 200


def test_what_cannot_be_fetched_leaves_a_drawing_of_ours(
    house: House, content: Client, far: FarServer
) -> None:
    message = newsletter(house, far.url("/gone.png"))
    url = remote_url(ContentClaim(message.pk, house.alice.pk), far.url("/gone.png"), timezone.now())
    answer = content.get(url.removeprefix(configured.CONTENT_ORIGIN))
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_colours_are_adapted_and_stay_so(house: House, alice: Client, content: Client) -> None:
    message = newsletter(house, "http://far.example/a.png")
    assert "colours=adapted" in look(alice, house, message, colours="adapted").json()["html"]
    page = page_of(alice, house, message)
    assert "invert" in content.get(frame_of(page)).content.decode()
    look(alice, house, message, colours="own")
    assert "colours=adapted" not in page_of(alice, house, message)


def test_nobody_else_chooses(house: House, outsider: Client, alice: Client) -> None:
    message = newsletter(house, "http://far.example/a.png")
    assert look(outsider, house, message, pictures="shown").status_code == 404
    assert look(alice, house, message, pictures="everything").status_code == 422


def test_pictures_in_what_is_forwarded_are_asked_for_with_the_messages_own(
    house: House, alice: Client, content: Client, far: FarServer
) -> None:
    html = (
        f'<p>Old</p><img src="{far.serve("/lamp.png", picture())}"><img src="http://spy.example/p" width="1">'
    )
    inner = mail(html.encode(), Content_Type="text/html", From="News <news@shop.example>")
    message = arrive(house.support, forward(inner))
    page = page_of(alice, house, message)
    assert "Show pictures" in page
    assert "1 tracking pixel was left out." in page
    assert " src=" not in content.get(frame_of(page, "enclosed")).content.decode()
    look(alice, house, message, pictures="shown")
    body = content.get(frame_of(page_of(alice, house, message), "enclosed")).content.decode()
    sources = re.findall(r' src="([^"]+)"', body)
    assert [urlsplit(one).path.startswith("/content/remote/") for one in sources] == [True]
    assert content.get(sources[0].removeprefix(configured.CONTENT_ORIGIN))["Content-Type"] == "image/webp"
    look(alice, house, message, colours="adapted")
    assert "colours=adapted" in frame_of(page_of(alice, house, message), "enclosed")


def test_what_is_forwarded_and_wants_nothing_has_no_button(house: House, alice: Client) -> None:
    assert "pictures-held" not in page_of(alice, house, arrive(house.support, forward(FORWARDED)))


@pytest.mark.usefixtures("transactional_db")
def test_a_slow_picture_keeps_no_thread_from_those_who_work(house: House, far: FarServer) -> None:
    message = newsletter(house, url := far.url("/slow.png"))
    may_come = far.hold("/slow.png", picture())
    place = remote_url(ContentClaim(message.pk, house.alice.pk), url, timezone.now())

    async def both(handler: HttpHandler) -> tuple[Any, Any]:
        slow = asyncio.create_task(
            ask(handler, place.removeprefix(configured.CONTENT_ORIGIN), host=CONTENT_HOST)
        )
        await asyncio.to_thread(wait_until, lambda: far.asked)
        meanwhile = await ask(handler, "/content/nothing/", host=CONTENT_HOST)
        may_come.set()
        return await slow, meanwhile

    (start, content), meanwhile = asyncio.run(both(HttpHandler(threads=1)))
    assert meanwhile[0]["status"] == 404
    assert start["status"] == 200
    assert content["body"].startswith(b"RIFF")
