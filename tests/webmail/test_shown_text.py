"""What hostile or odd text becomes on the page and in the frame."""

import html
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.mime.html import sanitise_html
from apps.webmail.mail_frame import FrameLook, frame_document, mark_elsewhere
from apps.webmail.plain_text import MAX_SHOWN_CHARS, link, show_text

TAGS_WE_WRITE = re.compile(r'<a href="[^"<>]*" target="_blank" rel="noopener noreferrer nofollow">|</a>')


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
@settings(max_examples=200)
def test_linked_text_says_what_it_said_and_nothing_is_markup(text: str) -> None:
    linked = link(text)
    without_links = TAGS_WE_WRITE.sub("", linked)
    assert "<" not in without_links
    assert html.unescape(without_links) == text


@given(st.text(alphabet="ab>\n :On wrote.,@-", max_size=400))
@settings(max_examples=200)
def test_every_line_is_shown_or_folded_and_none_is_lost(text: str) -> None:
    shown = show_text(text)
    told = "\n".join(html.unescape(TAGS_WE_WRITE.sub("", piece.html)) for piece in shown.pieces)
    assert [line for line in told.split("\n") if line.strip()] == [
        line for line in text.split("\n") if line.strip()
    ]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("See https://x.example/a?b=1&c=2.", "https://x.example/a?b=1&amp;c=2"),
        ("(https://x.example/a)", "https://x.example/a"),
        ("write to elena@customer.example!", "mailto:elena@customer.example"),
    ],
)
def test_an_address_in_text_can_be_followed(text: str, target: str) -> None:
    assert f'href="{target}"' in link(text)


@pytest.mark.parametrize("text", ["javascript:alert(1)", 'https://x"onclick=alert(1)', "data:text/html,x"])
def test_no_other_scheme_becomes_a_link(text: str) -> None:
    tags = re.findall(r"<[^>]*>", link(text))
    assert not any(word in tag for tag in tags for word in ("javascript:", "onclick", "data:"))


def test_an_endless_text_is_cut_and_says_so() -> None:
    shown = show_text("x" * (MAX_SHOWN_CHARS + 1))
    assert shown.cut
    assert not show_text("x" * 100).cut


@pytest.mark.parametrize("text", ["a@" * 200_000, "https://" * 60_000, "a." * 200_000, "@" * 400_000])
def test_linking_is_linear(text: str) -> None:
    started = time.monotonic()
    link(text)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("href", "shown", "marked"),
    [
        ("http://evil.example/", "https://bank.example/login", True),
        ("http://evil.example/", "bank.example", True),
        ("http://bank.example.evil.example/", "www.bank.example", True),
        ("https://bank.example/", "https://www.bank.example/login", False),
        ("https://login.bank.example/", "bank.example", False),
        ("https://evil.example/", "click here", False),
        ("mailto:a@evil.example", "bank.example", False),
        ("https://evil.example/", "https://user@bank.example/", True),
        ("https://evil.example/", " BANK.EXAMPLE ", True),
    ],
)
def test_a_link_that_leads_elsewhere_is_marked(href: str, shown: str, marked: bool) -> None:  # noqa: FBT001
    assert bool(mark_elsewhere(href, shown)) is marked


def document(body: str, *, quotes_shown: bool = False) -> str:
    return frame_document(
        sanitise_html(body),
        FrameLook(quotes_shown=quotes_shown),
        language="en",
        page_origin="http://127.0.0.1:8000",
    )


def test_a_quotation_at_the_end_is_folded_and_can_be_shown() -> None:
    mail = "<p>Thanks!</p><p>On Monday Bob wrote:</p><blockquote>old words</blockquote>"
    assert "old words" not in document(mail)
    assert "quotes=shown" in document(mail)
    assert "old words" in document(mail, quotes_shown=True)


@pytest.mark.parametrize(
    "mail",
    [
        "<blockquote>old words</blockquote><p>My answer below</p>",
        "<p>Hi</p><blockquote>old words</blockquote><p>answer one</p>",
        "<blockquote>old words</blockquote>",
        "<p>Hi</p><blockquote>old words",
    ],
)
def test_words_that_may_be_the_writers_own_are_never_folded(mail: str) -> None:
    shown = document(mail)
    assert "old words" in shown or "quotes=shown" in shown
    if "<p>answer" in mail or "below" in mail or mail.startswith("<blockquote>"):
        assert "old words" in shown


def test_the_frame_tells_its_height_to_our_page_alone() -> None:
    assert 'content="allow-origins=http://127.0.0.1:8000"' in document("<p>x</p>")


def test_a_large_mail_is_framed_in_time() -> None:
    started = time.monotonic()
    sanitised = "<p>" + "<a href='https://x.example/'>bank.example</a> words &amp; more" * 20_000 + "</p>"
    frame_document(sanitised, FrameLook(quotes_shown=False), language="en", page_origin="http://127.0.0.1")
    assert time.monotonic() - started < 5
