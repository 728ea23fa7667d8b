from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.mime.address import Address
from apps.mime.clean import clean_filename, clean_line, clean_text
from apps.mime.compose import Composition, InvalidHeader, OutgoingAttachment, compose, make_message_id
from apps.mime.parse import parse

_PLAIN = Composition(
    sender=Address("Demo Support", "support@demo.test"),
    to=(Address("Anna Berg", "anna@example.org"),),
    cc=(),
    reply_to=(),
    subject="Your printer",
    text="Hello Anna,\n\nit is repaired.\n",
    html="",
    message_id="one@demo.test",
    date=datetime(2024, 1, 1, 10, tzinfo=UTC),
)


def test_a_plain_mail_looks_as_a_person_would_write_it() -> None:
    assert compose(_PLAIN).decode("ascii").split("\r\n") == [
        "Date: Mon, 01 Jan 2024 10:00:00 +0000",
        "From: Demo Support <support@demo.test>",
        "To: Anna Berg <anna@example.org>",
        "Subject: Your printer",
        "Message-ID: <one@demo.test>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
        "Content-Transfer-Encoding: 7bit",
        "",
        "Hello Anna,",
        "",
        "it is repaired.",
        "",
    ]


def test_the_same_composition_gives_the_same_bytes() -> None:
    composition = replace(_PLAIN, html="<p>x</p>", attachments=(OutgoingAttachment("a", "text/csv", b"1"),))
    assert compose(composition) == compose(composition)


_scripts = st.one_of(
    st.text(max_size=150),
    st.text(alphabet="abc äöü ß €", max_size=150),
    st.text(alphabet="привет мир日本語 العربية עברית ไทย 🔥👩‍🚀", max_size=150),
    st.sampled_from(
        ["=?utf-8?q?x?=", "a" * 700, "From here\n.\n..\nFrom there", "tab\t \nend ", "=\n==3D", "--=_1_x"]
    ),
)


@given(subject=_scripts, name=_scripts, text=_scripts, filename=_scripts, data=st.binary(max_size=100))
@settings(max_examples=400, deadline=None)
def test_what_was_composed_is_what_is_read(
    subject: str, name: str, text: str, filename: str, data: bytes
) -> None:
    person = Address(clean_line(name, 250).strip(" '\""), "anna@example.org")
    composition = replace(
        _PLAIN,
        sender=person,
        to=(person, person),
        subject=clean_line(subject),
        text=text,
        attachments=(OutgoingAttachment(clean_filename(filename), "image/png", data),),
    )
    raw = compose(composition)
    message = parse(raw)
    assert message.subject == composition.subject
    assert (message.sender, message.to) == (person, (person, person))
    read = clean_text(text.replace("\r\n", "\n").replace("\r", "\n")).strip("\n")
    assert message.text == (read if read.strip() else "")
    assert [(part.filename, part.data) for part in message.parts] == [
        (clean_filename(filename) or "attachment", data)
    ]
    assert message.defects == ()
    _assert_carried_unchanged(raw)


def _assert_carried_unchanged(raw: bytes) -> None:
    assert raw.isascii()
    assert b"\x00" not in raw
    assert raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r")
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert all(len(line) <= 78 for line in raw.partition(b"\r\n\r\n")[2].split(b"\r\n"))


@given(
    value=st.text(),
    field=st.sampled_from(["subject", "name", "address", "id", "reference", "auto", "file", "cid"]),
)
@settings(max_examples=400, deadline=None)
def test_no_value_adds_a_header_line(value: str, field: str) -> None:
    hostile = f"x{value}\r\nBcc: victim@example.org"
    changes: dict[str, object] = {
        "subject": {"subject": hostile},
        "name": {"sender": Address(hostile, "a@demo.test")},
        "address": {"to": (Address("", hostile),)},
        "id": {"message_id": hostile},
        "reference": {"references": (hostile,)},
        "auto": {"auto_submitted": hostile},
        "file": {"attachments": (OutgoingAttachment(hostile, "a/b", b""),)},
        "cid": {"html": "<p>", "attachments": (OutgoingAttachment("a", "a/b", b"", hostile),)},
    }
    with pytest.raises(InvalidHeader):
        compose(replace(_PLAIN, **changes[field]))  # type: ignore[arg-type]


@given(name=st.text(max_size=20), value=st.text(max_size=200))
@settings(max_examples=400, deadline=None)
def test_a_custom_header_is_written_whole_or_refused(name: str, value: str) -> None:
    plain = compose(_PLAIN).count(b"\r\n")
    try:
        raw = compose(replace(_PLAIN, headers=((name, value),)))
    except InvalidHeader:
        return
    added = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")[5:]
    assert added[0].lower().startswith(name.lower().encode() + b":")
    assert all(line.startswith((b" ", b"MIME-Version", b"Content-")) for line in added[1:])
    assert raw.count(b"\r\n") >= plain + 1


@pytest.mark.parametrize(
    "name", ["From", "to", "BCC", "Date", "Message-Id", "Sender", "Return-Path", "Received", "DKIM-Signature",
             "MIME-Version", "Content-Type", "Content-Anything", "Authentication-Results", "Resent-To", "ARC-Seal",
             "", "X Y", "X:", "Ü", "X\r\nBcc"],
)  # fmt: skip
def test_a_header_that_the_mail_system_writes_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidHeader) as refused:
        compose(replace(_PLAIN, headers=((name, "x"),)))
    assert refused.value.field == name
    assert refused.value.reason


def test_long_references_fold_between_ids_and_are_never_encoded() -> None:
    references = tuple(f"{n}.{'x' * 90}@mail.example.org" for n in range(40))
    raw = compose(replace(_PLAIN, references=references, in_reply_to=references[-1]))
    assert b"=?" not in raw
    message = parse(raw)
    assert message.references == references
    assert message.in_reply_to == references[-1:]


def test_a_customer_s_unwritable_message_id_does_not_stop_the_answer() -> None:
    raw = compose(replace(_PLAIN, in_reply_to="größe@x", references=("größe@x", "two@x.org")))
    assert parse(raw).references == ("two@x.org",)
    assert b"In-Reply-To" not in raw


def test_html_gets_a_text_and_its_images_stay_beside_it() -> None:
    html = '<p>Hello <b>Anna</b> <img src="cid:logo@demo"></p>'
    logo = OutgoingAttachment("logo.png", "image/png", b"\x89PNG", "logo@demo")
    pdf = OutgoingAttachment("Rechnung März.pdf", "application/pdf", b"%PDF")
    raw = compose(replace(_PLAIN, text="", html=html, attachments=(logo, pdf)))
    message = parse(raw)
    assert message.text == "Hello Anna"
    assert message.html == html
    assert [(part.filename, part.inline, part.content_type) for part in message.parts] == [
        ("logo.png", True, "image/png"),
        ("Rechnung März.pdf", False, "application/pdf"),
    ]
    order = [raw.index(kind) for kind in (b"multipart/mixed", b"multipart/alternative", b"multipart/related")]
    assert order == sorted(order)


def test_a_forwarded_message_keeps_its_bytes() -> None:
    inner = compose(_PLAIN)
    raw = compose(replace(_PLAIN, attachments=(OutgoingAttachment("m.eml", "message/rfc822", inner),)))
    assert inner in raw
    assert parse(raw).parts[0].data == inner
    dirty = inner + b"\xff bare\n"
    part = parse(
        compose(replace(_PLAIN, attachments=(OutgoingAttachment("m.eml", "message/rfc822", dirty),)))
    ).parts[0]
    assert (part.data, part.content_type) == (dirty, "application/octet-stream")


def test_a_mail_to_hidden_recipients_only_names_nobody() -> None:
    raw = compose(replace(_PLAIN, to=()))
    assert b"To: undisclosed-recipients:;\r\n" in raw
    assert b"bcc" not in raw.lower()


def test_an_address_beyond_ascii_stands_in_utf_8_as_it_is() -> None:
    raw = compose(
        replace(_PLAIN, to=(Address("Jörg Ö", "jörg@example.org"), Address("", "anna@example.org")))
    )
    assert "<jörg@example.org>, anna@example.org\r\n".encode() in raw.replace(b"\r\n ", b" ")
    assert raw.partition(b"To:")[0].isascii()
    assert [one.address for one in parse(raw).to] == ["jörg@example.org", "anna@example.org"]


def test_what_is_no_address_is_never_written() -> None:
    for address in ("a@b.example\r\nBcc: x@y.example", "a@b.example, x@y.example", "a@b.example>", ""):
        with pytest.raises(InvalidHeader):
            compose(replace(_PLAIN, to=(Address("", address),)))


def test_a_list_unsubscribe_header_keeps_its_bytes() -> None:
    value = "<https://demo.test/u?" + "x" * 200 + ">, <mailto:u@demo.test>"
    raw = compose(replace(_PLAIN, headers=(("List-Unsubscribe", value),)))
    assert value.encode() in raw.replace(b"\r\n ", b" ")


def test_a_message_id_is_one_word_with_its_domain() -> None:
    assert make_message_id("demo.test", "0190-abc") == "0190-abc@demo.test"
    with pytest.raises(InvalidHeader):
        make_message_id("demo.test", "two words")
    with pytest.raises(InvalidHeader):
        make_message_id("demo.test>\r\nBcc: x", "a")
