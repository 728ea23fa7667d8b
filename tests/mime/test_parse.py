import dataclasses
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings

from apps.mime.address import Address
from apps.mime.message import MessageKind, ParsedMessage
from apps.mime.parse import parse, parse_as_text
from tests.mime.mails import corpus, hostile_bytes, mail, multipart, nested


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _strings(each)
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            yield from _strings(getattr(value, each.name))


def _can_be_stored(message: ParsedMessage) -> bool:
    for text in _strings(message):
        text.encode()  # raises for a lone surrogate
        if "\x00" in text:
            return False
    lines = (message.subject, message.snippet, message.message_id, *(part.filename for part in message.parts))
    return not any("\n" in line or "\r" in line for line in lines)


@given(hostile_bytes)
@settings(max_examples=600, deadline=None)
def test_any_bytes_become_a_message_that_can_be_stored(raw: bytes) -> None:
    for message in (parse(raw), parse_as_text(raw)):
        assert _can_be_stored(message)
        assert len(message.snippet) <= 200
        assert [part.n for part in message.parts] == list(range(1, len(message.parts) + 1))
        assert all(part.filename for part in message.parts)
        assert message.date is None or message.date.tzinfo is UTC
    assert parse(raw) == parse(raw)


@pytest.mark.parametrize(("folder", "at_least"), [("mime", 66), ("bounces", 200), ("tnef", 1)])
def test_torture_messages_are_read_without_an_exception(folder: str, at_least: int) -> None:
    files = corpus(folder)
    assert len(files) >= at_least
    for path in files:
        assert _can_be_stored(parse(path.read_bytes())), path


def test_an_ordinary_mail_is_read_whole() -> None:
    message = parse(
        mail(
            b"Hello,\r\n\r\nmy printer is on fire.\r\n",
            From='"Berg, Anna" <Anna@Example.ORG>',
            To="support@demo.test, =?utf-8?q?J=C3=B6rg?= <j@x.org>",
            Cc="c@x.org",
            Reply_To="r@x.org",
            Subject="=?utf-8?q?Fire_=F0=9F=94=A5?=",
            Date="Mon, 1 Jan 2024 12:00:00 +0200",
            Message_ID="<one@example.org>",
            In_Reply_To="<zero@demo.test>",
            References="<first@demo.test>\r\n <zero@demo.test>",
        )
    )
    assert message.sender == Address("Berg, Anna", "Anna@example.org")
    assert message.to == (Address("", "support@demo.test"), Address("Jörg", "j@x.org"))
    assert (message.cc, message.bcc, message.reply_to) == (
        (Address("", "c@x.org"),),
        (),
        (Address("", "r@x.org"),),
    )
    assert message.subject == "Fire 🔥"
    assert message.date == datetime(2024, 1, 1, 10, tzinfo=UTC)
    assert message.message_id == "one@example.org"
    assert message.in_reply_to == ("zero@demo.test",)
    assert message.references == ("first@demo.test", "zero@demo.test")
    assert message.text == "Hello,\n\nmy printer is on fire."
    assert message.snippet == "Hello, my printer is on fire."
    assert (message.html, message.parts, message.kind) == ("", (), MessageKind.MAIL)
    assert (message.auto_submitted, message.defects) == ("no", ())


_TEXT = b"Content-Type: text/plain; charset=utf-8\r\n\r\nthe text"
_HTML = b'Content-Type: text/html\r\n\r\n<p>the html <img src="cid:logo@x"></p>'
_IMAGE = b"Content-Type: image/png\r\nContent-ID: <logo@x>\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC"
_PDF = b'Content-Type: application/pdf; name="a.pdf"\r\nContent-Disposition: attachment\r\n\r\n%PDF'


def test_text_and_html_are_two_forms_of_one_body() -> None:
    message = parse(multipart("alternative", _TEXT, _HTML))
    assert message.text == "the text"
    assert message.html == '<p>the html <img src="cid:logo@x"></p>'
    assert message.parts == ()


def test_a_text_beside_two_pieces_of_html_and_a_file_is_read_too() -> None:
    """As Apple Mail writes a picture in the middle of a formatted mail."""
    message = parse(
        multipart("alternative", _TEXT, multipart("mixed", _HTML, _IMAGE, _HTML).replace(b"limit", b"in"))
    )
    assert message.text == "the text"
    assert message.html.count("the html") == 2
    assert [part.data for part in message.parts] == [b"\x00\x01\x02"]


def test_a_thousand_files_are_all_kept() -> None:
    files = [mail(b"%d" % n, Content_Type="application/octet-stream") for n in range(1000)]
    message = parse(
        multipart("mixed", multipart("alternative", _TEXT, _HTML).replace(b"limit", b"in"), *files)
    )
    assert [part.data for part in message.parts] == [b"%d" % n for n in range(1000)]
    assert message.text == "the text"


def test_an_image_that_the_html_shows_is_inline_and_any_other_is_not() -> None:
    message = parse(multipart("related", _HTML, _IMAGE, _IMAGE.replace(b"logo@x", b"other@x")))
    assert [(part.content_id, part.inline, part.data) for part in message.parts] == [
        ("logo@x", True, b"\x00\x01\x02"),
        ("other@x", False, b"\x00\x01\x02"),
    ]
    assert message.text == "the html"


def test_of_two_parts_with_one_content_id_the_first_is_shown() -> None:
    message = parse(multipart("related", _HTML, _IMAGE, _IMAGE))
    assert [part.inline for part in message.parts] == [True, False]


def test_a_picture_before_the_html_that_shows_it_hides_nothing() -> None:
    message = parse(multipart("related", _IMAGE, _HTML))
    assert message.text == "the html"
    assert [(part.content_id, part.inline) for part in message.parts] == [("logo@x", True)]


def test_every_other_part_is_kept_with_a_name() -> None:
    calendar = b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR"
    forwarded = b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\nX: \xff bare\n\nbody"
    message = parse(multipart("mixed", _TEXT, _PDF, calendar, forwarded))
    assert [(part.n, part.filename) for part in message.parts] == [
        (1, "a.pdf"),
        (2, "attachment-2.ics"),
        (3, "message.eml"),
    ]
    assert message.parts[2].data == b"Subject: inner\r\nX: \xff bare\n\nbody"
    assert message.kind == MessageKind.CALENDAR


def test_two_texts_around_an_image_are_both_read() -> None:
    message = parse(multipart("mixed", _TEXT, _IMAGE, _TEXT.replace(b"the text", b"more text")))
    assert message.text == "the text\n\nmore text"
    assert len(message.parts) == 1


def test_a_part_after_a_stray_closing_line_is_not_hidden() -> None:
    raw = multipart("mixed", _TEXT) + b"--limit\r\n" + _PDF + b"\r\n--limit--\r\n"
    assert [part.filename for part in parse(raw).parts] == ["a.pdf"]


def test_a_multipart_without_its_boundary_is_shown_as_text() -> None:
    message = parse(mail(b"all there is", Content_Type="multipart/mixed"))
    assert message.text == "all there is"
    assert message.defects == ("multipart without its boundary",)


@pytest.mark.parametrize(
    ("charset", "data", "text", "defects"),
    [
        ("utf-8", "Grüße".encode(), "Grüße", ()),
        ("iso-8859-1", "“Grüße” €".encode("cp1252"), "“Grüße” €", ()),
        ("us-ascii", "Grüße".encode(), "Grüße", ()),
        ("gb2312", "你好，镕".encode("gb18030"), "你好，镕", ()),
        ("iso-2022-jp", "こんにちは".encode("iso-2022-jp"), "こんにちは", ()),
        ("shift_jis", "①こんにちは".encode("cp932"), "①こんにちは", ()),
        ("x-unknown", "Grüße".encode(), "Grüße", ("unknown charset",)),
        ("koi8-r", "Привет, как дела".encode("koi8-r"), "Привет, как дела", ()),
        ("koi8-r", "Привет, как дела".encode(), "Привет, как дела", ("wrong charset",)),
        ("gbk", "联通".encode("gbk"), "联通", ()),
        (
            "utf-8",
            "Grüße aus Köln, schöne Tage".encode("cp1252"),
            "Grüße aus Köln, schöne Tage",
            ("wrong charset",),
        ),
        ("zlib", b"plain", "plain", ("unknown charset",)),
        ("a\x00b", b"plain", "plain", ("unknown charset",)),
    ],
)
def test_text_is_read_whatever_its_label_says(
    charset: str, data: bytes, text: str, defects: tuple[str, ...]
) -> None:
    message = parse(mail(data, Content_Type=f'text/plain; charset="{charset}"'))
    assert message.text == text
    assert message.defects == defects


def test_flowed_text_becomes_paragraphs_again() -> None:
    body = b"One long \r\nparagraph.\r\n> quoted \r\n> too\r\n-- \r\nAnna\r\n"
    message = parse(mail(body, Content_Type="text/plain; format=flowed"))
    assert message.text == "One long paragraph.\n> quoted too\n-- \nAnna"
    assert message.new_text == "One long paragraph."


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=\"=?utf-8?q?Gr=C3=BC=C3=9Fe.pdf?=\"", "Grüße.pdf"),
        ("attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf", "Grüße.pdf"),
        ("attachment; filename*0*=utf-8''Gr%C3%BC; filename*1=\"sse.pdf\"", "Grüsse.pdf"),
        ("attachment; filename*1=\"b.pdf\"; filename*0=\"a\"", "ab.pdf"),
        ("attachment; filename=\"../../etc/passwd\"", "passwd"),
        ("attachment; filename=my file.pdf", "my file.pdf"),
        ("attachment; filename=\"a\\\"b;c.pdf\"", "a_b;c.pdf"),
    ],
)  # fmt: skip
def test_a_file_name_is_read_in_every_form(header: str, name: str) -> None:
    part = f"Content-Type: application/pdf\r\nContent-Disposition: {header}\r\n\r\nx".encode()
    assert [each.filename for each in parse(multipart("mixed", part)).parts] == [name]


def test_base64_with_a_footer_behind_it_keeps_both() -> None:
    body = b"SGVsbG8=\r\n_____\r\nThe list's footer\r\n"
    message = parse(mail(body, Content_Transfer_Encoding="base64"))
    assert "Hello" in message.text
    assert "The list's footer" in message.text


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Auto_Submitted": "auto-replied (vacation)"}, MessageKind.AUTO_REPLY),
        ({"Auto_Submitted": "auto-generated"}, MessageKind.MAIL),
        ({"Auto_Submitted": "no"}, MessageKind.MAIL),
        ({"X_Autoreply": "yes"}, MessageKind.AUTO_REPLY),
        ({"Precedence": "auto_reply"}, MessageKind.AUTO_REPLY),
        ({"List_Id": "<dev.example.org>"}, MessageKind.LIST),
        ({"X_Failed_Recipients": "x@y.z"}, MessageKind.BOUNCE),
        ({"Content_Type": "multipart/report; report-type=delivery-status; boundary=x"}, MessageKind.BOUNCE),
        (
            {"Content_Type": "multipart/report; report-type=feedback-report; boundary=x"},
            MessageKind.COMPLAINT,
        ),
        (
            {"Content_Type": "multipart/report; report-type=disposition-notification; boundary=x"},
            MessageKind.RECEIPT,
        ),
    ],
)
def test_the_kind_of_a_message_is_recognised(headers: dict[str, str], kind: MessageKind) -> None:
    assert parse(mail(**headers)).kind == kind


def test_most_bounces_of_the_corpus_and_all_complaints_are_recognised() -> None:
    files = corpus("bounces")
    kinds = {path.name: parse(path.read_bytes()).kind for path in files}
    complaints = [kind for name, kind in kinds.items() if name.startswith("arf-")]
    assert complaints.count(MessageKind.COMPLAINT) >= 4
    assert list(kinds.values()).count(MessageKind.BOUNCE) / len(kinds) > 0.6


@pytest.mark.parametrize(
    "raw",
    [
        nested(1200),
        b"Content-Type: text/plain; " + b"; ".join(b"p%d=v" % n for n in range(5000)) + b"\r\n\r\nx",
        mail(b"\r\n" * 50_000),
        mail(b"<div>" * 100_000, Content_Type="text/html"),
        b"X: y\r\n" * 100_000 + b"\r\nbody",
        b"Subject: " + b"=?utf-8?q?a" * 30_000 + b"\r\n\r\nbody",
        b"To: " + b"a@b.example, " * 100_000 + b"\r\n\r\nbody",
        b"References: " + b"<a@b>\r\n " * 50_000 + b"\r\n\r\nbody",
        multipart("mixed", *[_TEXT] * 5000),
        multipart("mixed", *[b""] * 50_000),
        multipart("mixed") + b"--limit " * 200_000,
        mail(b"=" * 2_000_000, Content_Transfer_Encoding="base64"),
        mail(b"=\r\n" * 500_000, Content_Transfer_Encoding="quoted-printable"),
        mail(b"\xff\xfe" * 500_000, Content_Type="text/plain; charset=x-none"),
        mail(b"> " * 500_000),
        b"\r" * 1_000_000,
        b"\n" * 1_000_000,
        b"a" * 3_000_000,
        b"\x00" * 1_000_000,
    ],
    ids=range(19),
)
def test_mail_made_to_stall_a_parser_is_bounded(raw: bytes) -> None:
    started = time.process_time()
    message = parse(raw)
    assert time.process_time() - started < 2
    assert _can_be_stored(message)


def test_what_is_nested_too_deeply_is_kept_as_the_whole_message() -> None:
    message = parse(nested(1200))
    assert "nesting too deep" in message.defects
    assert message.parts[-1].filename == "message.eml"
    assert message.parts[-1].data == nested(1200)


def test_a_mail_of_moderate_depth_is_read_to_its_end() -> None:
    assert parse(nested(20)).text == "the innermost words"


def test_the_fallback_keeps_headers_text_and_the_raw_bytes() -> None:
    raw = multipart("mixed", _TEXT, Subject="Hello", From="a@x.org")
    message = parse_as_text(raw)
    assert (message.subject, message.sender.address) == ("Hello", "a@x.org")
    assert "the text" in message.text
    assert message.parts[0].data == raw
    assert message.defects == ("read as plain text",)


def test_a_line_break_hidden_in_an_encoded_word_stays_within_its_header() -> None:
    message = parse(mail(Subject="=?utf-8?q?Hi=0D=0ABcc:_x@y.z?=", From="=?utf-8?q?A=0A=00B?= <a@x.org>"))
    assert message.subject == "Hi Bcc: x@y.z"
    assert message.sender.name == "A B"


@pytest.mark.parametrize(
    ("kind", "line"),
    [("plain", b"word word word word word word word word\r\n"), ("html", b"<p>some words</p>\r\n")],
)
def test_a_text_beyond_all_measure_is_cut_and_kept_whole_beside_it(kind: str, line: bytes) -> None:
    raw = mail(line * (2_200_000 // len(line)) + b"the last words", Content_Type=f"text/{kind}")
    parsed = parse(raw)
    assert "the last words" not in parsed.text
    assert parsed.parts[-1].data == raw


def test_html_with_too_many_tags_to_lay_out_still_shows_every_word() -> None:
    raw = mail(b"<p>words</p>" * 110_000 + b"<p>the last</p>", Content_Type="text/html")
    parsed = parse(raw)
    assert parsed.html.replace("<wbr>", "").count("words") == parsed.text.count("words") == 110_000
    assert parsed.html.count("the last") == parsed.text.count("the last") == 1


def test_places_where_a_line_may_break_cost_no_word_of_the_text() -> None:
    raw = mail(b"word<wbr>" * 2_000 + b"<b>the last</b>", Content_Type="text/html")
    assert parse(raw).text == "word" * 2_000 + "the last"
