"""On paper and behind the mail: print views of the content origin, a mail's head, its original to be read."""

import re
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.mailboxes.models import Folder, Message
from apps.webmail.content_tokens import ContentClaim, ContentKind, content_url
from apps.webmail.views import printing
from tests.arrivals import arrive
from tests.mime.mails import mail
from tests.mime.test_unwrap import FORWARDED, forward
from tests.people import House

CONTENT_HOST = urlsplit(settings.CONTENT_ORIGIN).netloc
HTML = (
    b"From: Elena <elena@customer.example>\r\nTo: support@house.test\r\nSubject: Lamps\r\nX-Folded: one\r\n two\r\n"
    b"Message-ID: <1@customer.example>\r\nContent-Type: text/html\r\n\r\n"
    b'<p>First <script>alert(1)</script></p><a href="http://evil.example/">https://bank.example/</a>'
    b'<img src="http://far.example/a.png">'
)
ANSWER = (
    b"From: Elena <elena@customer.example>\r\nTo: support@house.test\r\nSubject: Re: Lamps\r\n"
    b"In-Reply-To: <1@customer.example>\r\nReferences: <1@customer.example>\r\n\r\nSecond <b>words</b>\r\n"
)


@pytest.fixture
def content() -> Client:
    return Client(HTTP_HOST=CONTENT_HOST)


@pytest.fixture
def message(house: House) -> Message:
    return arrive(house.support, HTML)


def path_of(house: House, message: Message) -> str:
    url = content_url(ContentKind.PRINT, ContentClaim(message.pk, house.alice.pk), timezone.now())
    return url.removeprefix(settings.CONTENT_ORIGIN)


def test_a_message_is_printed_without_a_script_or_a_picture_from_elsewhere(
    house: House, message: Message, content: Client
) -> None:
    answer = content.get(path_of(house, message), headers={"Sec-Fetch-Dest": "document"})
    page = answer.content.decode()
    assert "First" in page
    assert "leads to evil.example" in page
    assert "<script" not in page
    assert " src=" not in page
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert "allow-scripts" not in answer["Content-Security-Policy"]
    assert content.get(path_of(house, message), headers={"Sec-Fetch-Dest": "iframe"}).status_code == 404


def test_a_conversation_is_printed_in_its_order(
    house: House, message: Message, alice: Client, content: Client
) -> None:
    assert arrive(house.support, ANSWER).thread_id == message.thread_id
    answer = alice.get(reverse("webmail:print", args=[house.support.pk, message.thread_id]))
    assert answer.status_code == 302
    page = content.get(answer["Location"].removeprefix(settings.CONTENT_ORIGIN)).content.decode()
    assert 0 < page.index("First") < page.index("Second &lt;b&gt;words")


def test_it_is_printed_at_one_press_by_a_frame_that_holds_no_mail(
    house: House, message: Message, alice: Client, content: Client
) -> None:
    place = reverse("webmail:print", args=[house.support.pk, message.thread_id])
    url = alice.get(f"{place}?message={message.pk}", headers={"Accept": "application/json"}).json()["url"]
    path = url.removeprefix(settings.CONTENT_ORIGIN)
    framed = {"Sec-Fetch-Dest": "iframe"}
    around = content.get(f"{path}?now=", headers=framed)
    assert "First" not in around.content.decode()
    assert "contentWindow.print()" in around.content.decode()
    assert "script-src 'nonce-" in around["Content-Security-Policy"]
    held = content.get(f"{path}?framed=", headers=framed)
    assert "First" in held.content.decode()
    assert "default-src 'none'" in held["Content-Security-Policy"]
    assert "allow-scripts" not in held["Content-Security-Policy"]
    for query in ("?now=", "?framed="):
        assert content.get(path + query).status_code == 200, "over plain http a browser does not tell"
        assert content.get(path + query, headers={"Sec-Fetch-Dest": "document"}).status_code == 404


def test_only_from_mailboxes_that_one_may_see(
    house: House, stranger: House, message: Message, outsider: Client, content: Client
) -> None:
    assert (
        outsider.get(reverse("webmail:print", args=[house.support.pk, message.thread_id])).status_code == 404
    )
    for mailbox in (stranger.support, house.bobs):
        assert content.get(f"{path_of(house, message)}?mailbox={mailbox.pk}").status_code == 404
    assert content.get(f"{path_of(house, message)}?mailbox=nonsense").status_code == 404


def test_the_whole_head_is_shown_unfolded(
    house: House, message: Message, alice: Client, outsider: Client
) -> None:
    url = reverse("webmail:head", args=[message.pk])
    page = alice.get(url).content.decode()
    assert "X-Folded" in page
    assert "one two" in page
    assert "First" not in page
    assert outsider.get(url).status_code == 404


def test_the_original_is_read_in_place_as_text_and_as_nothing_else(
    house: House, message: Message, content: Client
) -> None:
    url = content_url(ContentKind.ORIGINAL, ContentClaim(message.pk, house.alice.pk), timezone.now())
    answer = content.get(f"{url.removeprefix(settings.CONTENT_ORIGIN)}?view=text")
    assert answer.content == HTML
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_both_are_offered_beside_the_message(house: House, message: Message, alice: Client) -> None:
    place = [house.support.pk, Folder.INBOX, message.thread_id]
    page = alice.get(reverse("webmail:conversation", args=place)).content.decode()
    printing = reverse("webmail:print", args=[house.support.pk, message.thread_id])
    assert f'href="{printing}?message={message.pk}"' in page
    assert reverse("webmail:head", args=[message.pk]) in page
    assert reverse("webmail:print", args=[house.support.pk, message.thread_id]) in page


def test_what_is_forwarded_is_printed_with_its_own_head_and_pictures(house: House, content: Client) -> None:
    message = arrive(
        house.support, forward(forward(FORWARDED, text=b"Between.\r\n").replace(b"limit", b"middle"))
    )
    page = content.get(path_of(house, message)).content.decode()
    assert 0 < page.index("See below.") < page.index("Between.") < page.index("Old words")
    assert "Ben Ode" in page
    assert "Lämp" in page
    assert 'style="margin-inline-start: 20px"' in page
    assert 'style="margin-inline-start: 40px"' in page
    assert re.search(r'<img[^>]+src="http[^"]+/content/inline/', page)


def test_what_is_within_is_escaped_on_paper_too(house: House, content: Client) -> None:
    inner = mail(b"<script>alert(1)</script>", From='"<script>x</script>" <b@x.example>', Subject="<script>")
    page = content.get(path_of(house, arrive(house.support, forward(inner)))).content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page


def test_of_more_than_can_be_read_in_time_the_beginning_is_printed(
    house: House, content: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printing, "WITHIN_SECONDS", 0)
    message = arrive(house.support, forward(mail(b"One two three.", From="b@x.example")))
    page = content.get(path_of(house, message)).content.decode()
    assert "One two three." in page
    assert "Only the beginning of this message is printed here" in page
