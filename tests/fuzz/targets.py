"""What is fuzzed with coverage for a guide: one function for each reader of hostile bytes, and mails to begin with.

Run by `guided` in a process of its own, under atheris, which keeps what reaches new lines. A target fails by raising;
what it checks beyond that is what the rest of the product relies on: no NUL and no lone surrogate (PostgreSQL refuses
them), nothing a browser would run, and no word of a text lost.
"""

import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

from apps.mime.address import parse_addresses
from apps.mime.charset import decode_text
from apps.mime.encoded_files import take_out_files
from apps.mime.headers import message_ids, parse_date, parse_parameters, read_headers
from apps.mime.html import _TAGS as ALLOWED_TAGS
from apps.mime.html import sanitise_html
from apps.mime.invitation import read_invitation
from apps.mime.message import ParsedMessage
from apps.mime.parse import parse, parse_as_text
from apps.mime.protection import open_pkcs7
from apps.mime.quotes import split_quotes
from apps.mime.rtf import decompress_rtf, read_rtf
from apps.mime.tnef import read_tnef
from apps.mime.words import decode_words

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
MAX_SEED_BYTES = 60_000
SCHEMES = ("http:", "https:", "mailto:", "tel:", "cid:", "data:image/")


def texts(value: object) -> Iterator[str]:
    """Every string within a parsed message."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from texts(one)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from texts(getattr(value, field.name))


def check_message(parsed: ParsedMessage) -> None:
    """What everybody may take for granted of a message that was read."""
    for text in texts(parsed):
        assert "\x00" not in text
        text.encode()  # no lone surrogate
    assert [part.n for part in parsed.parts] == list(range(1, len(parsed.parts) + 1))
    assert all(part.filename and "/" not in part.filename for part in parsed.parts)
    check_html(parsed.html)
    assert pickle.loads(pickle.dumps(parsed)) == parsed  # noqa: S301  what the worker's answer goes through


class _Reader(HTMLParser):
    """What a browser would make of sanitised HTML: its elements and their attributes."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED_TAGS, f"<{tag}> was left"
        for name, value in attrs:
            assert not name.startswith("on") and name not in {"srcdoc", "action", "formaction", "background"}
            if name in {"href", "src", "data-remote-src"}:
                assert (value or "").lower().startswith(SCHEMES), f"{name} leads to {value}"
            if name == "src":
                assert not (value or "").lower().startswith(("http:", "https:")), "something is fetched"
            if name == "style":
                assert not re.search(
                    r"url\s*\(|expression|@import|\\\\|image-set", value or "", re.IGNORECASE
                )


def check_html(html: str) -> None:
    """Nothing in sanitised HTML that a browser runs or fetches."""
    reader = _Reader()
    reader.feed(html)
    reader.close()


def a_message(data: bytes) -> None:
    check_message(parse(data))
    check_message(parse_as_text(data))


def header_values(data: bytes) -> None:
    headers, _ = read_headers(data, 0, len(data))
    for _, value in headers.fields:
        for address in parse_addresses(value):
            f"{address.name} {address.address}".encode()
        parse_parameters(value)
        message_ids(value)
        parse_date(value)
        assert "\x00" not in decode_words(value)


def some_html(data: bytes) -> None:
    html = sanitise_html(data.decode("utf-8", "replace"))
    check_html(html)
    assert sanitise_html(html) == html, "sanitised twice it is something else"


def quoted_text(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    found = split_quotes(text)
    lines = text.split("\n")
    folded = [line for start, end in found.folded for line in lines[start:end]]
    assert sorted("\n".join([found.new_text, *folded]).split()) == sorted(text.split()), "a word is lost"


def a_charset(data: bytes) -> None:
    label, _, rest = data.partition(b"\n")
    text, _ = decode_text(rest, label.decode("ascii", "replace"))
    assert isinstance(text, str)


def a_winmail(data: bytes) -> None:
    found = read_tnef(data)
    for text in (found.text, found.html, found.message_class, *(one.filename for one in found.attachments)):
        assert "\x00" not in text
        text.encode()


def rich_text(data: bytes) -> None:
    for text in read_rtf(decompress_rtf(data) or data):
        assert "\x00" not in text
        text.encode()


def a_calendar(data: bytes) -> None:
    invitation = read_invitation(decode_text(data)[0])
    for text in texts(invitation):
        assert "\x00" not in text
        text.encode()


def signed_content(data: bytes) -> None:
    open_pkcs7(data)
    take_out_files(data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "message": a_message,
    "headers": header_values,
    "html": some_html,
    "quotes": quoted_text,
    "charset": a_charset,
    "tnef": a_winmail,
    "rtf": rich_text,
    "calendar": a_calendar,
    "encoded": signed_content,
}
_SEEDS = {
    "message": ("mime/*", "bounces/*", "tnef/*", "replies/emails/*"),
    "headers": ("mime/*", "bounces/*"),
    "html": ("html/*",),
    "quotes": ("replies/emails/*",),
    "charset": ("mime/*",),
    "bounce": ("bounces/*",),
    "smtp": ("mime/*",),
    "tnef": ("tnef/*",),
}


_OWN_SEEDS = {
    "calendar": [
        b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1@x\r\nSUMMARY;LANGUAGE=de:Treffen\\, bald\r\n"
        b"DTSTART;TZID=W. Europe Standard Time:20260303T140000\r\nDURATION:PT1H\r\nRRULE:FREQ=WEEKLY;COUNT=3\r\n"
        b'ORGANIZER;CN="Anna":MAILTO:a@x.example\r\nATTENDEE;CN=B:mailto:b@x.example\r\nLOCATION:Room\r\n'
        b"END:VEVENT\r\nEND:VCALENDAR\r\n",
        b"BEGIN:VEVENT\nDTSTART;VALUE=DATE:20260303\nDTEND;VALUE=DATE:20260305\nEND:VEVENT\n",
    ],
    "encoded": [
        b"begin 644 a.txt\n#86)C\n`\nend\n",
        b"=ybegin line=128 size=3 name=a.txt\r\n\x8b\x8c\x8d\r\n=yend size=3\r\n",
        bytes.fromhex(
            "3080 06092a864886f70d010702 a080 3080 020101 3100 3080 06092a864886f70d010701 a080 2480 0403616263"
        ),
    ],
    "rtf": [
        rb"{\rtf1\ansi\ansicpg1252\fromhtml1 {\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 Hi\'e4 \u8364?{\*\htmltag72 </p>}}",
        b"\x14\x00\x00\x00\x20\x00\x00\x00LZFu\x00\x00\x00\x00\x00abcdefgh\x01\x0c\xf0",
    ],
}


@cache
def seeds(target: str) -> list[bytes]:
    """What a target begins with: mails of the corpora, where they lie beside the project."""
    paths = [path for pattern in _SEEDS.get(target, ()) for path in sorted(CORPUS.glob(pattern))]
    small = [path.read_bytes() for path in paths if path.stat().st_size <= MAX_SEED_BYTES]
    return [*_OWN_SEEDS.get(target, ()), *small]
