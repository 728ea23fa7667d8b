"""Answering an invitation and leaving a list: what goes out, what is kept, what is told."""

import email
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from icalendar import Calendar
from pytest_django import Settings

from apps.events.models import Event
from apps.mailboxes.models import Direction, Folder, Message
from apps.mailboxes.selectors import raw_of
from apps.outbound.models import Delivery
from apps.reading.models import InvitationAnswer, Unsubscription
from tests.arrivals import arrive
from tests.fetching.far_server import FarServer, far_server
from tests.mime.mails import mail, multipart
from tests.people import House
from tests.webmail.test_within import INVITATION

SIGNED = {
    "dkim": {"result": "pass", "reason": "", "signatures": [{"result": "pass", "covers_unsubscribe": True}]},
    "dmarc": {"result": "pass", "reason": "", "proven_by": "signature"},
}
# As it was kept before signatures were asked what they cover, and of one that leaves the two fields out.
HOLDS = SIGNED | {"dkim": {"result": "pass", "reason": "", "signatures": [{"result": "pass"}]}}
BESIDE = SIGNED | {
    "dkim": {"result": "pass", "reason": "", "signatures": [{"result": "pass", "covers_unsubscribe": False}]}
}


@pytest.fixture
def invited(house: House) -> Message:
    return arrive(house.support, multipart("alternative", mail(b"Please come."), INVITATION))


@pytest.fixture
def far(settings: Settings) -> Iterator[FarServer]:
    settings.FETCH_ALLOWED_NETWORKS = (ip_network("127.0.0.0/8"),)
    with far_server() as one:
        yield one


def press(client: Client, house: House, message: Message, name: str, **chosen: str) -> Any:
    return client.post(reverse(f"webmail:{name}", args=[house.support.pk, message.pk]), chosen)


def page_of(client: Client, house: House, message: Message) -> str:
    place = [house.support.pk, Folder.INBOX, message.thread_id]
    return client.get(reverse("webmail:conversation", args=place)).content.decode()


def sent() -> Message:
    return Message.objects.filter(direction=Direction.OUT).latest("received_at")


def test_an_answer_is_a_mail_that_the_organisers_calendar_understands(
    house: House, alice: Client, invited: Message
) -> None:
    answer = press(alice, house, invited, "answer-invitation", answer="accepted").json()
    assert answer["sentence"] == "You accept. The organiser is told."
    reply = sent()
    assert [one.recipient for one in Delivery.objects.filter(message=reply)] == ["elena@customer.example"]
    assert reply.subject == "Accepted: Look at the lamp"
    assert reply.thread_id == invited.thread_id
    parts = [one for one in email.message_from_bytes(raw_of(reply)).walk() if not one.is_multipart()]
    assert [one.get_content_type() for one in parts] == ["text/plain", "text/calendar"]
    assert parts[1].get_param("method") == "REPLY"
    calendar = Calendar.from_ical(str(parts[1].get_payload(decode=True), "utf-8"))  # type: ignore[arg-type]
    (event,) = calendar.walk("VEVENT")
    assert (calendar["METHOD"], event["UID"], event["ORGANIZER"]) == (
        "REPLY",
        "1@x",
        "mailto:elena@customer.example",
    )
    assert event["ATTENDEE"] == "mailto:support@house.test"
    assert event["ATTENDEE"].params["PARTSTAT"] == "ACCEPTED"
    assert Event.objects.filter(kind="invitation.answered", message_id=invited.pk).exists()


def test_the_answer_is_shown_and_replaced_and_taken_back(
    house: House, alice: Client, invited: Message
) -> None:
    press(alice, house, invited, "answer-invitation", answer="accepted")
    undo_url = press(alice, house, invited, "answer-invitation", answer="declined").json()["undo_url"]
    assert InvitationAnswer.objects.get().answer == "declined"
    assert page_of(alice, house, invited).count('aria-pressed="true"') >= 1
    assert "Another answer replaces it." in page_of(alice, house, invited)
    alice.post(undo_url)
    assert "Another answer replaces it." not in page_of(alice, house, invited)


def test_a_hostile_calendar_sends_nothing_of_its_own(house: House, alice: Client) -> None:
    hostile = INVITATION.replace(
        b"SUMMARY:Look at the lamp",
        b"SUMMARY:Look\r\nATTACH:http://x.example/\r\nX-ALT-DESC:<script>\r\nUID:2@x",
    )
    message = arrive(house.support, multipart("alternative", mail(b"Please come."), hostile))
    press(alice, house, message, "answer-invitation", answer="tentative")
    raw = raw_of(sent())
    calendar = next(
        one for one in email.message_from_bytes(raw).walk() if one.get_content_type() == "text/calendar"
    ).get_payload(decode=True)
    assert isinstance(calendar, bytes)
    assert b"ATTACH" not in calendar
    assert b"script" not in calendar
    assert calendar.count(b"UID:") == 1


def test_only_what_invites_is_answered(
    house: House, alice: Client, outsider: Client, invited: Message
) -> None:
    plain = arrive(house.support)
    cancelled = arrive(
        house.support, multipart("alternative", mail(b"No."), INVITATION.replace(b"REQUEST", b"CANCEL"))
    )
    assert press(alice, house, plain, "answer-invitation", answer="accepted").status_code == 409
    assert press(alice, house, cancelled, "answer-invitation", answer="accepted").status_code == 409
    assert press(alice, house, invited, "answer-invitation", answer="gladly").status_code == 422
    assert press(outsider, house, invited, "answer-invitation", answer="accepted").status_code == 404


def newsletter(
    house: House, ways: str, *, found: dict[str, Any] | None = SIGNED, posts: bool = True
) -> Message:
    head = f"From: news@shop.example\r\nTo: support@house.test\r\nList-Unsubscribe: {ways}\r\n"
    head += "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" if posts else ""
    checks = {name: {"result": "none", "reason": ""} for name in ("dkim", "dmarc", "spf", "arc")}
    message = arrive(
        house.support,
        f"{head}\r\nNews\r\n".encode(),
        authentication=checks | found if found is not None else None,
    )
    # Our far server speaks no TLS: the address is put where the header's would be.
    if "127.0.0.1" in ways:
        message.contents["unsubscribe"]["one_click"] = posts
        message.save(update_fields=["contents"])
    return message


def test_one_press_leaves_a_list(house: House, alice: Client, far: FarServer) -> None:
    message = newsletter(house, f"<{far.serve('/leave?me=1', b'')}>, <mailto:leave@shop.example>")
    assert "Unsubscribe" in page_of(alice, house, message)
    answer = press(alice, house, message, "leave-list").json()
    assert "You have left the list." in answer["sentence"]
    asked = far.asked[0]
    assert (asked.method, asked.path, asked.body) == ("POST", "/leave?me=1", b"List-Unsubscribe=One-Click")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert not {"cookie", "referer"} & asked.headers.keys()
    assert "You left this list on" in page_of(alice, house, message)
    assert Event.objects.filter(kind="list.left", message_id=message.pk).exists()


def test_what_the_list_does_not_take_is_told_and_its_page_shown(
    house: House, alice: Client, far: FarServer
) -> None:
    url = far.redirect("/leave", "http://169.254.169.254/")
    message = newsletter(house, f"<{url}>")
    assert "did not take it" in press(alice, house, message, "leave-list").json()["sentence"]
    assert Unsubscription.objects.get().failed_because == "refused"
    assert f'href="{url}"' in page_of(alice, house, message)


@pytest.mark.parametrize(
    ("found", "posts"), [(None, True), ({}, True), (HOLDS, True), (BESIDE, True), (SIGNED, False)]
)
def test_without_a_signature_or_the_lists_word_nothing_is_posted(
    house: House, alice: Client, far: FarServer, found: dict[str, Any] | None, *, posts: bool
) -> None:
    url = far.serve("/leave", b"")
    message = newsletter(house, f"<{url}>", found=found, posts=posts)
    assert f'href="{url}"' in page_of(alice, house, message)
    assert press(alice, house, message, "leave-list").status_code == 409
    assert far.asked == []


def test_a_list_that_wants_a_mail_gets_one(house: House, alice: Client) -> None:
    ways = "<mailto:leave@shop.example?subject=remove%20me%0D%0ABcc:%20all@x.example&cc=all@x.example>"
    message = newsletter(house, ways)
    assert "Unsubscribe by a mail to leave@shop.example" in page_of(alice, house, message)
    assert "on its way" in press(alice, house, message, "leave-list").json()["sentence"]
    assert sent().subject == "remove me Bcc: all@x.example"
    assert [one.recipient for one in Delivery.objects.filter(message=sent())] == ["leave@shop.example"]


@pytest.mark.parametrize(
    "ways", ["<javascript:alert(1)>", "<>", "nothing", "<file:///etc/passwd>", "<mailto:a@b,c@d>"]
)
def test_what_is_no_way_out_is_not_offered(house: House, alice: Client, ways: str) -> None:
    message = newsletter(house, ways)
    assert "Unsubscribe" not in page_of(alice, house, message)
    assert press(alice, house, message, "leave-list").status_code == 409


def test_nobody_else_leaves_it(house: House, outsider: Client, far: FarServer) -> None:
    message = newsletter(house, f"<{far.serve('/leave', b'')}>")
    assert press(outsider, house, message, "leave-list").status_code == 404
    assert far.asked == []
