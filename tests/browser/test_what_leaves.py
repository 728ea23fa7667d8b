"""What an agent writes with everything the editor has, as it stands in the mail that leaves."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.mailboxes.models import Message
from apps.mailboxes.selectors import raw_of
from apps.mime.parse import parse
from tests.arrivals import arrive
from tests.browser.pasting import paste_html, paste_picture
from tests.people import House
from tests.pictures import picture

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]

QUESTION = b"""\
From: Elena Marsh <elena@customer.example>\r
To: support@house.test\r
Subject: Invoice 20931 charged twice\r
Message-ID: <second@customer.example>\r
References: <first@customer.example>\r
MIME-Version: 1.0\r
Content-Type: text/html; charset=utf-8\r
\r
<p class="MsoNormal">Hello &amp; <b>good day</b>,</p>\r
<table background="https://tracker.example/a.gif"><tr><td>\r
<img src="cid:logo@customer.example" alt="Our logo"> charged twice.</td></tr></table>\r
<blockquote><p>What we said before</p></blockquote>\r
"""
TABLE = """<table class="x"><tr><th>Room</th><th>Price</th></tr>
<tr><td style="width:9px">Sea view</td><td>19.00</td></tr></table>"""
TEXT = """\
Dear Elena \N{EM DASH} see:

- one
- two
  - and a half

1. first

Room | Price
Sea view | 19.00

The plan: [plan] https://house.test/rooms

On """


def type_lines(page: Page, *lines: str) -> None:
    for line in lines:
        page.keyboard.type(line)
        page.keyboard.press("Enter")


def test_an_answer_with_everything_in_it_is_mail_that_every_reader_shows(
    house: House, page: Page, sign_in: SignIn
) -> None:
    arrive(house.support, QUESTION)
    sign_in("alice@house.test")
    page.locator(".row > a").click()
    page.wait_for_selector("#conversation")
    page.keyboard.press("r")
    expect(page.locator(".written")).to_be_focused()
    type_lines(page, "Dear Elena \N{EM DASH} see:", "- one", "two")
    page.keyboard.press("Tab")
    type_lines(page, "and a half", "", "", "1. first", "")
    paste_html(page, TABLE)
    page.keyboard.press("Control+End")
    page.keyboard.press("ArrowDown")
    page.keyboard.type("The plan: ")
    paste_picture(page, picture(size=(1200, 30)))
    expect(page.locator(".written img[data-cid]")).to_be_visible()
    page.keyboard.type(" https://house.test/rooms ")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Sending to 1 recipient")).to_be_visible()
    raw = raw_of(Message.objects.get(author=house.alice))
    order = (b"multipart/alternative", b"text/plain", b"multipart/related", b"text/html", b"image/png")
    places = [raw.index(b"Content-Type: " + kind) for kind in order]
    assert places == sorted(places)
    parsed = parse(raw)
    assert (parsed.in_reply_to, parsed.references) == (
        ("second@customer.example",),
        ("first@customer.example", "second@customer.example"),
    )
    said, wrote, quoted = parsed.text.partition(" wrote:\n")
    assert wrote
    assert said.startswith(TEXT)
    assert quoted.startswith("> Hello & good day,\n>\n> [Our logo] charged twice.\n>\n>> What we said before")
    html = raw.decode().replace("=\r\n", "").replace("=3D", "=")
    html = html[html.index("<!DOCTYPE") : html.index("</html>")]
    assert (
        re.findall(r"<(?:p|ul|ol|li|table|th|td|img|h2)(?![^>]* style=)[^>]*>", html.split("<blockquote")[0])
        == []
    )
    assert re.search(r"class=|<style|data-|min-width|tracker", html) is None
    (shown,) = re.findall(r'<img src="cid:([^"]+)" alt="plan" width="640"', html)
    assert f"Content-ID: <{shown}>".encode() in raw
    assert html.count('<blockquote type="cite" style="') == html.count("<blockquote") == 2
