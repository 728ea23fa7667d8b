"""What is done to a mail program's own message before it is sent on, and what is refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.mime.address import Address
from apps.mime.sendable import Sendable, Unsendable, make_sendable

DATE = datetime(2026, 3, 2, 9, tzinfo=UTC)
WHOLE = (
    b"From: Alice House <alice@house.test>\r\n"
    b"To: elena@customer.example\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Date: Mon, 02 Mar 2026 10:00:00 +0100\r\n"
    b"Message-ID: <own@laptop.example>\r\n"
    b"X-Mailer:  a\tprogram \r\n"
    b"\r\n"
    b"Hello.\r\n"
)


def made(raw: bytes) -> Sendable:
    return make_sendable(
        raw, message_id_of=lambda author: f"made@{author.address.rpartition('@')[2]}", date=DATE
    )


def test_a_message_that_lacks_nothing_stays_byte_for_byte_as_it_was() -> None:
    assert made(WHOLE).raw == WHOLE
    assert made(WHOLE).author == Address("Alice House", "alice@house.test")


def test_a_missing_date_and_message_id_are_added_and_nobody_hidden_is_named() -> None:
    raw = b"From: alice@house.test\r\nBCC: boss@house.test,\r\n other@house.test\r\nSubject: Hi\r\n\r\nHello.\r\n"
    assert made(raw).raw == (
        b"Message-ID: <made@house.test>\r\n"
        b"Date: Mon, 02 Mar 2026 09:00:00 +0000\r\n"
        b"To: undisclosed-recipients:;\r\n"
        b"From: alice@house.test\r\nSubject: Hi\r\n\r\nHello.\r\n"
    )


@pytest.mark.parametrize("written", [b"", b"<>", b"nonsense", b"<a@b> <c@d>"])
def test_a_message_id_that_is_none_is_replaced(written: bytes) -> None:
    raw = made(WHOLE.replace(b"<own@laptop.example>", written)).raw
    assert raw.lower().count(b"message-id:") == 1
    assert b"Message-ID: <made@house.test>\r\n" in raw


@pytest.mark.parametrize(
    "field",
    [
        b"Bcc: boss@house.test",
        b"Resent-Bcc: boss@house.test",
        b"Return-Path: <ceo@bank.example>",
        b"Delivered-To: x@house.test",
        b"Authentication-Results: mx.house.test; dkim=pass",
        b"ARC-Seal: i=1; cv=none",
        b"X-Spam-Status: No",
        b"Received-SPF: pass",
    ],
)
def test_what_only_a_server_may_say_is_taken_away(field: bytes) -> None:
    assert made(field + b"\r\n\tand more\r\n" + WHOLE).raw == WHOLE


@pytest.mark.parametrize(
    "field", [b"Received: from a by b; date", b"DKIM-Signature: v=1; d=other.example", b"X-Order: 1"]
)
def test_history_signatures_and_fields_of_its_own_are_kept(field: bytes) -> None:
    raw = field + b"\r\n" + WHOLE
    assert made(raw).raw == raw


@pytest.mark.parametrize(
    ("raw", "field", "reason"),
    [
        (b"", "From", "missing"),
        (b"\r\nOnly a body\r\n", "From", "missing"),
        (b"Only a body\r\n", "message", "Line 1"),
        (WHOLE.replace(b"X-Mailer:", b"no field\r\nX-Mailer:"), "message", "Line 6"),
        (WHOLE.replace(b"X-Mailer:", b"X-Mailer :"), "message", "Line 6"),
        (WHOLE.replace(b"X-Mailer:", b" \r\nX-Mailer:"), "message", "Line 6"),
        (b" folded from nowhere\r\n" + WHOLE, "message", "Line 1"),
        (b"From: bob@house.test\r\n" + WHOLE, "From", "twice"),
        (b"subject: other\r\n" + WHOLE, "Subject", "twice"),
        (WHOLE.replace(b"X-Mailer", b"Content-Type: text/html\r\nContent-Type"), "Content-Type", "twice"),
        (WHOLE + b"\0\r\n", "message", "NUL"),
        (WHOLE + b"x" * 999 + b"\r\n", "message", "Line 9"),
        (WHOLE.replace(b"a\tprogram", b"\xe4"), "X-Mailer", "UTF-8"),
        (b"".join(b"X-%d: 1\r\n" % n for n in range(500)) + WHOLE, "message", "header fields"),
        (b"X-Long: " + b"a\r\n " * 70_000 + b"b\r\n" + WHOLE, "message", "header is larger"),
    ],
)  # fmt: skip
def test_what_two_readers_would_read_differently_is_refused(raw: bytes, field: str, reason: str) -> None:
    with pytest.raises(Unsendable, match=reason) as refused:
        made(raw)
    assert refused.value.field.lower() == field.lower()


@pytest.mark.parametrize(
    "written",
    [
        "alice@house.test",
        "<alice@house.test>",
        "Alice House <alice@house.test>",
        '"House, Alice" <alice@house.test>',
        "=?utf-8?q?J=C3=B6rg?= <alice@house.test>",
        "Jörg Müller <alice@house.test>",
        "alice@house.test (Alice)",
        "Alice\r\n\t<alice@house.test>",
        "J. R. House <alice@house.test>",
    ],
)
def test_a_from_of_one_address_is_read(written: str) -> None:
    raw = WHOLE.replace(b"Alice House <alice@house.test>", written.encode())
    assert made(raw).author.address == "alice@house.test"


@pytest.mark.parametrize(
    "written",
    [
        "alice@house.test, ceo@bank.example",
        "<alice@house.test> <ceo@bank.example>",
        "ceo@bank.example <alice@house.test>",
        "alice@house.test <ceo@bank.example>, x",
        "Group: alice@house.test;",
        "<@relay.example:alice@house.test>",
        '"ceo@bank.example <alice@house.test>',
        "(ceo@bank.example) alice@house.test (x\\)",
        "Alice",
        "",
    ],
)
def test_a_from_in_which_somebody_could_read_another_address_is_refused(written: str) -> None:
    raw = WHOLE.replace(b"Alice House <alice@house.test>", written.encode())
    with pytest.raises(Unsendable) as refused:
        made(raw)
    assert refused.value.field == "From"


@given(st.binary(max_size=400))
def test_whatever_the_bytes_are_it_is_sendable_or_unsendable(noise: bytes) -> None:
    lines = noise.replace(b"\r", b"").replace(b"\n", b"\r\n") + b"\r\n"
    for raw in (lines, WHOLE.replace(b"a\tprogram", lines), b"From: alice@house.test\r\n" + lines):
        try:
            sendable = made(raw).raw
        except Unsendable:
            continue
        head = sendable.partition(b"\r\n\r\n")[0].lower()
        assert head.count(b"\r\nmessage-id:") + head.startswith(b"message-id:") == 1
        assert b"\r\nbcc:" not in head
        assert made(sendable).raw == sendable, "what was made sendable needs nothing more"


@pytest.mark.parametrize(
    "hostile", ["a " * 100_000, '"' * 100_000, "(" * 100_000, "a<" * 50_000, '"\\' * 50_000]
)
def test_no_from_takes_long(hostile: str) -> None:
    value = "\r\n ".join(hostile[at : at + 900] for at in range(0, len(hostile), 900))
    with pytest.raises(Unsendable):
        made(b"From: " + value.encode() + b"x\r\n\r\n")
