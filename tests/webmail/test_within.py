"""What stands within a mail, on the page: messages, invitations, files of files, and what cannot be read here."""

import re
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.mailboxes.models import Folder, Message
from apps.mailboxes.search import query_of
from apps.webmail.content_tokens import ContentClaim, ContentKind, content_url
from apps.webmail.files import SHOWN
from apps.webmail.within import REMARKS
from tests.arrivals import arrive
from tests.mime.mails import mail, multipart
from tests.mime.test_unwrap import FORWARDED, forward
from tests.people import House

CONTENT_HOST = urlsplit(settings.CONTENT_ORIGIN).netloc

INVITATION = mail(
    b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1@x\r\nSUMMARY:Look at the lamp\r\n"
    b"DTSTART;TZID=Europe/Berlin:20260303T140000\r\nDTEND;TZID=Europe/Berlin:20260303T150000\r\n"
    b"LOCATION:Room 4\r\nORGANIZER;CN=Elena Marsh:mailto:elena@customer.example\r\n"
    b"ATTENDEE;CN=Support:mailto:support@house.test\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
    Content_Type="text/calendar; method=REQUEST; charset=utf-8",
)


@pytest.fixture
def content() -> Client:
    return Client(headers={"host": CONTENT_HOST, "sec-fetch-dest": "iframe"})


def page_of(client: Client, house: House, message: Message) -> str:
    client.force_login(house.alice)
    place = [house.support.pk, Folder.INBOX, message.thread_id]
    answer = client.get(reverse("webmail:conversation", args=place))
    assert answer.status_code == 200
    return answer.content.decode()


def path_of(house: House, message: Message, n: int) -> str:
    url = content_url(ContentKind.ENCLOSED, ContentClaim(message.pk, house.alice.pk, n), timezone.now())
    return urlsplit(url).path


def test_a_forwarded_message_is_a_fold_with_its_own_files(house: House, client: Client) -> None:
    message = arrive(house.support, forward(FORWARDED))
    html = page_of(client, house, message)
    fold = html[html.index('<details class="fold enclosed"') :]
    fold = fold[: fold.index("</details>")]
    assert "Lämp" in fold
    assert "Ben Ode" in fold
    assert "list.csv" in fold
    assert html.count("list.csv") == 1  # with that message, and nowhere else
    assert "message.eml" not in html


def test_its_body_is_framed_with_its_own_pictures(house: House, content: Client) -> None:
    message = arrive(house.support, forward(FORWARDED))
    answer = content.get(path_of(house, message, 1))
    body = answer.content.decode()
    assert "Old words" in body
    assert re.search(r'<img[^>]+src="http[^"]+/content/inline/', body)
    assert "sandbox" in answer["Content-Security-Policy"]


def test_a_text_within_is_shown_and_runs_nothing(house: House, content: Client) -> None:
    message = arrive(house.support, forward(mail(b"<script>alert(1)</script> & more", From="b@x.example")))
    body = content.get(path_of(house, message, 1)).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in body


def test_only_a_message_within_is_opened_as_one_and_only_for_who_may_see_it(
    house: House, stranger: House, content: Client
) -> None:
    message = arrive(house.support, forward(FORWARDED))
    assert content.get(path_of(house, message, 2)).status_code == 404
    assert content.get(path_of(house, message, 77)).status_code == 404
    theirs = content_url(ContentKind.ENCLOSED, ContentClaim(message.pk, stranger.alice.pk, 1), timezone.now())
    assert content.get(urlsplit(theirs).path).status_code == 404


def test_words_within_a_forwarded_message_are_found(house: House) -> None:
    message = arrive(house.support, forward(FORWARDED))
    assert list(Message.objects.filter(search=query_of("old words lamp"))) == [message]


def test_an_invitation_is_a_card(house: House, client: Client) -> None:
    message = arrive(house.support, multipart("alternative", mail(b"Please come."), INVITATION))
    html = page_of(client, house, message)
    for words in ("Look at the lamp", "Room 4", "Elena Marsh", "Europe/Berlin", "Please come."):
        assert words in html
    assert message.kind == "calendar"


def test_an_invitation_alone_needs_no_text(house: House, client: Client) -> None:
    message = arrive(house.support, mail(INVITATION.partition(b"\r\n\r\n")[2], Content_Type="text/calendar"))
    html = page_of(client, house, message)
    assert "has no text" not in html
    assert message.snippet == "Look at the lamp"


@pytest.mark.parametrize("code", REMARKS)
def test_what_cannot_be_read_here_is_said_in_words(house: House, client: Client, code: str) -> None:
    message = arrive(house.support)
    Message.objects.update(contents={"remarks": [code, "unheard_of"]})
    assert str(REMARKS[code]) in page_of(client, house, message)


def test_of_very_many_files_each_can_be_had_and_most_are_folded(house: House, client: Client) -> None:
    files = [
        mail(b"%d" % n, Content_Type="text/csv", Content_Disposition=f'attachment; filename="{n}.csv"')
        for n in range(1000)
    ]
    message = arrive(house.support, multipart("mixed", mail(b"Many."), *files))
    html = page_of(client, house, message)
    assert html.count("/content/attachment/") == 1000
    assert f"{1000 - SHOWN} more files" in html
    assert html.index("999.csv") > html.index("more files") > html.index(f"{SHOWN - 1}.csv")


def test_what_no_browser_shows_in_place_is_a_file(house: House, client: Client) -> None:
    """Scanners and older programs put such pictures into the text."""
    drawing = mail(b"II*\x00", Content_Type='image/tiff; name="plan.tiff"', Content_ID="<plan@x>")
    html = mail(b'<p>The plan:</p><img src="cid:plan@x">', Content_Type="text/html")
    message = arrive(house.support, multipart("related", html, drawing))
    assert [part.inline for part in message.parts.all()] == [True]
    assert "plan.tiff" in page_of(client, house, message)
