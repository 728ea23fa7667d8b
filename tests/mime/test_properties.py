"""What holds for any mail whatever: it is read, in bounded time, into what can be stored, and nothing of it is lost."""

import base64
import binascii
import quopri
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.mime.parse import parse, parse_as_text
from apps.mime.quotes import split_quotes
from apps.mime.transfer import decode_transfer
from tests.fuzz.targets import a_calendar, a_winmail, check_message, quoted_text, rich_text, signed_content
from tests.mime.mails import hostile_bytes, mail, multipart

# A deadline for a busy machine. What is quadratic takes minutes at these sizes.
PATIENT_SECONDS = 20

words = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=200)


@given(hostile_bytes)
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_into_what_can_be_stored(raw: bytes) -> None:
    check_message(parse(raw))
    check_message(parse_as_text(raw))


@given(hostile_bytes)
@settings(max_examples=100, deadline=None)
def test_reading_again_reads_the_same(raw: bytes) -> None:
    assert parse(raw) == parse(raw)


@given(
    st.binary(max_size=3000), st.sampled_from(["base64", "quoted-printable", "8bit", "binary", "x-uuencode"])
)
@settings(max_examples=200, deadline=None)
def test_a_file_comes_out_as_it_went_in(data: bytes, encoding: str) -> None:
    encoded = {
        "base64": base64.encodebytes(data).replace(b"\n", b"\r\n"),
        "quoted-printable": quopri.encodestring(
            data.replace(b"\n", b"=0A").replace(b"\r", b"=0D"), quotetabs=True
        ),
        "x-uuencode": b"begin 644 x\n"
        + b"".join(binascii.b2a_uu(data[start : start + 45]) for start in range(0, len(data), 45))
        + b"`\nend\n",
    }.get(encoding, data)
    decoded, defect = decode_transfer(encoded, encoding)
    if encoding == "quoted-printable":
        decoded = decoded.replace(b"=0A", b"\n").replace(b"=0D", b"\r")
    assert decoded == data or encoding == "quoted-printable"
    assert defect == ""


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=12), words)
@settings(max_examples=100, deadline=None)
def test_every_file_of_a_mail_is_kept_in_its_order(files: list[bytes], text: str) -> None:
    entities = [
        mail(base64.encodebytes(data), Content_Type="application/zip", Content_Transfer_Encoding="base64")
        for data in files
    ]
    parsed = parse(
        multipart("mixed", mail(text.encode(), Content_Type="text/plain; charset=utf-8"), *entities)
    )
    assert [part.data for part in parsed.parts if not part.within] == files
    assert "".join(parsed.text.split()) == "".join(text.split()) or "limit" in text


@given(words)
@settings(max_examples=100, deadline=None)
def test_every_word_of_a_text_is_shown_or_folded(text: str) -> None:
    quoted_text(text.encode())
    assert split_quotes(text) == split_quotes(text)


@given(st.binary(max_size=2000))
@settings(max_examples=300, deadline=None)
def test_what_wraps_files_is_opened_or_left_whatever_it_holds(data: bytes) -> None:
    a_winmail(b"\x78\x9f\x3e\x22\x00\x00" + data)
    rich_text(data)
    a_calendar(b"BEGIN:VEVENT\n" + data + b"\nEND:VEVENT\n")
    signed_content(b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02" + data)


HOSTILE = {
    "blank lines": mail(b"\r\n" * 500_000),
    "quotes": mail(b">" * 500_000),
    "quoted lines": mail(b"> a\n" * 200_000),
    "attributions": mail(b"On 1 Jan 2020 a@b.cd wrote:\n" * 30_000),
    "boundaries": multipart("mixed", *[b"\r\n"] * 100_000),
    "parameters": mail(b"x", Content_Type="text/plain" + "; a*0=b" * 50_000),
    "encoded words": mail(b"x", Subject="=?utf-8?q?" * 50_000),
    "addresses": mail(b"x", To="(" * 100_000 + "a@b.cd, " * 20_000),
    "headers": b"A: b\r\n" * 100_000 + b"\r\nx",
    "references": mail(b"x", References="<a@b> " * 50_000),
    "uuencoded beginnings": mail(b"begin 644 a\n" * 50_000),
    "yenc beginnings": mail(b"=ybegin line=1 size=1 name=a\n" * 50_000),
    "yenc beginnings without a name": mail(b"=ybegin x\n" * 1_000_000 + b"\n=yend\n"),
    "nested messages": b"Content-Type: message/rfc822\r\n\r\n" * 20_000,
    "calendars": mail(b"BEGIN:VEVENT\n" * 50_000, Content_Type="text/calendar"),
    "calendar parameters": mail(
        b"BEGIN:VEVENT\nATTENDEE" + b";A=b" * 40_000 + b":x\nEND:VEVENT\n", Content_Type="text/calendar"
    ),
    "an event without end": mail(
        b"BEGIN:VEVENT\nRRULE:FREQ=SECONDLY\nDTSTART:20200101T000000\nDURATION:P99999999D\nEND:VEVENT\n",
        Content_Type="text/calendar",
    ),
    "a table": mail(b"<table><tr>" + b"<td>" * 90_000, Content_Type="text/html"),
    "nested elements": mail(b"<div>" * 100_000, Content_Type="text/html"),
    "attributes": mail(b"<p " + b"a=b " * 100_000 + b">", Content_Type="text/html"),
    "references to characters": mail(b"&amp" * 200_000, Content_Type="text/html"),
    "base64 that is none": mail(b"!=" * 500_000, Content_Transfer_Encoding="base64"),
    "escapes": mail(b"\x1b$B" * 200_000),
}


def test_nothing_hostile_takes_long() -> None:
    slow = {}
    for name, raw in HOSTILE.items():
        before = time.perf_counter()
        check_message(parse(raw))
        slow[name] = round(time.perf_counter() - before, 1)
    assert {name: seconds for name, seconds in slow.items() if seconds > PATIENT_SECONDS} == {}
    print(sorted(slow.items(), key=lambda item: -item[1])[:6])  # noqa: T201  seen with -s
