"""The content origin: what it serves, to whom, and with which headers."""

import uuid
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import time_machine
from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.mailboxes.models import Membership, Message
from apps.mailboxes.selectors import raw_of
from apps.webmail.content_tokens import ContentClaim, ContentKind, TokenInvalid, content_url, read_token
from tests.arrivals import arrive
from tests.people import House

CONTENT_HOST = urlsplit(settings.CONTENT_ORIGIN).netloc

MAIL = b"""From: elena@customer.example
To: support@house.test
Subject: =?utf-8?q?R=C3=A9sum=C3=A9?=
MIME-Version: 1.0
Content-Type: multipart/related; boundary=b

--b
Content-Type: text/html; charset=utf-8

<p>Hello</p><img src="cid:shot"><img src="cid:page">
--b
Content-Type: image/png
Content-ID: <shot>
Content-Disposition: inline; filename="shot.png"

pixels
--b
Content-Type: text/html
Content-ID: <page>
Content-Disposition: attachment; filename="page.html"

<script>alert(1)</script>
--b
Content-Type: image/svg+xml
Content-Disposition: attachment; filename="drawing.svg"

<svg/>
--b--
""".replace(b"\n", b"\r\n")


@pytest.fixture
def message(house: House) -> Message:
    return arrive(house.support, raw=MAIL)


@pytest.fixture
def content() -> Client:
    """A browser at the content origin: no cookies, ever."""
    return Client(HTTP_HOST=CONTENT_HOST)


def path_to(kind: ContentKind, message: Message, user: User, n: int = 0) -> str:
    url = content_url(kind, ContentClaim(message.pk, user.pk, n), timezone.now())
    assert url.startswith(settings.CONTENT_ORIGIN + "/")
    return url.removeprefix(settings.CONTENT_ORIGIN)


def number_of(message: Message, filename: str) -> int:
    return message.parts.get(filename=filename).n


def test_a_body_comes_with_the_strictest_of_policies(house: House, message: Message, content: Client) -> None:
    answer = content.get(path_to(ContentKind.BODY, message, house.alice))
    assert answer.status_code == 200
    policy = dict(part.strip().partition(" ")[::2] for part in answer["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": f"{settings.CONTENT_ORIGIN} data:",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": settings.WEB_ORIGIN,
        "sandbox": "allow-popups allow-popups-to-escape-sandbox",
    }
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert "X-Frame-Options" not in answer
    assert not answer.cookies


def test_a_body_is_for_frames_alone(house: House, message: Message, content: Client) -> None:
    path = path_to(ContentKind.BODY, message, house.alice)
    assert content.get(path, headers={"Sec-Fetch-Dest": "iframe"}).status_code == 200
    for destination in ("document", "script", "embed", "empty"):
        assert content.get(path, headers={"Sec-Fetch-Dest": destination}).status_code == 404


def test_pictures_of_the_mail_are_shown_and_nothing_else_is(
    house: House, message: Message, content: Client
) -> None:
    body = content.get(path_to(ContentKind.BODY, message, house.alice)).content.decode()
    assert body.count("/content/inline/") == 1
    shot = content.get(path_to(ContentKind.INLINE, message, house.alice, number_of(message, "shot.png")))
    assert (shot.status_code, shot["Content-Type"]) == (200, "image/png")
    page = path_to(ContentKind.INLINE, message, house.alice, number_of(message, "page.html"))
    assert content.get(page).status_code == 404


@pytest.mark.parametrize("filename", ["page.html", "drawing.svg"])
def test_an_attachment_is_bytes_to_be_saved(
    house: House, message: Message, content: Client, filename: str
) -> None:
    answer = content.get(path_to(ContentKind.ATTACHMENT, message, house.alice, number_of(message, filename)))
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == f'attachment; filename="{filename}"'
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_the_original_is_byte_for_byte(house: House, message: Message, content: Client) -> None:
    answer = content.get(path_to(ContentKind.ORIGINAL, message, house.alice))
    assert answer.content == raw_of(message) == MAIL
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''R%C3%A9sum%C3%A9.eml"


def test_a_part_that_is_not_there_is_not_there(house: House, message: Message, content: Client) -> None:
    assert content.get(path_to(ContentKind.ATTACHMENT, message, house.alice, 99)).status_code == 404


@pytest.mark.parametrize("kind", list(ContentKind))
def test_a_token_for_the_outsider_opens_nothing(
    house: House, stranger: House, message: Message, content: Client, kind: ContentKind
) -> None:
    assert content.get(path_to(kind, message, stranger.alice, 1)).status_code == 404


def test_access_is_asked_at_every_fetch(house: House, message: Message, content: Client) -> None:
    path = path_to(ContentKind.BODY, message, house.alice)
    assert content.get(path).status_code == 200
    Membership.objects.filter(user=house.alice).delete()
    assert content.get(path).status_code == 404


def test_a_deactivated_persons_tokens_are_dead(house: House, message: Message, content: Client) -> None:
    path = path_to(ContentKind.BODY, message, house.alice)
    User.objects.filter(pk=house.alice.pk).update(is_active=False)
    assert content.get(path).status_code == 404


def test_a_token_is_for_one_kind_of_thing(house: House, message: Message, content: Client) -> None:
    token = path_to(ContentKind.BODY, message, house.alice).split("/")[-2]
    for kind in set(ContentKind) - {ContentKind.BODY}:
        assert content.get(f"/content/{kind}/{token}/").status_code == 404


@pytest.mark.parametrize("token", ["x", "a:b", "eyJ9:aaaa", "W10:" + "A" * 43])
def test_a_forged_token_opens_nothing(content: Client, db: None, token: str) -> None:
    assert content.get(f"/content/body/{token}/").status_code == 404


def test_a_token_lasts_half_an_hour_at_least_and_an_hour_at_most() -> None:
    claim = ContentClaim(uuid.uuid4(), uuid.uuid4())
    with time_machine.travel("2026-03-02T10:29:59Z", tick=False):
        now = timezone.now()
        token = content_url(ContentKind.BODY, claim, now).split("/")[-2]
    assert read_token(ContentKind.BODY, token, now + timedelta(minutes=30)) == claim
    with pytest.raises(TokenInvalid):
        read_token(ContentKind.BODY, token, now + timedelta(minutes=60))


def test_a_refreshed_page_names_the_same_frame() -> None:
    claim = ContentClaim(uuid.uuid4(), uuid.uuid4())
    with time_machine.travel("2026-03-02T10:00:00Z", tick=False):
        first = content_url(ContentKind.BODY, claim, timezone.now())
    with time_machine.travel("2026-03-02T10:29:00Z", tick=False):
        assert content_url(ContentKind.BODY, claim, timezone.now()) == first


def test_the_content_origin_has_no_pages_and_the_pages_have_no_content(
    house: House, message: Message, content: Client, alice: Client
) -> None:
    assert content.get("/")["Location"] == f"{settings.WEB_ORIGIN}/"
    for path in ("/sign-in/", "/outbox/", "/compose/", "/api/v1/messages"):
        assert content.get(path).status_code == 404
    assert alice.get(path_to(ContentKind.BODY, message, house.alice)).status_code == 404
