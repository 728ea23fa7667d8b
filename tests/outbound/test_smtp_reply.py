"""Replies of servers, well-formed and otherwise."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.outbound.wire.line import Line
from apps.outbound.wire.smtp_reply import MAX_LINE_OCTETS, MAX_TEXT_CHARS, MalformedReply, Reply


def read(content: bytes) -> Reply:
    """The first thing heard on a line over which this came, and then nothing more."""

    async def hear() -> Reply:
        line = Line()
        line.data_received(content)
        line.eof_received()
        return await line.hear(1)

    return asyncio.run(hear())


def test_a_reply_of_several_lines_is_one_sentence_with_its_code_said_once() -> None:
    reply = read(b"550-5.1.1 There is no\r\n550 5.1.1 such person\r\n250 next\r\n")
    assert (reply.code, reply.enhanced, reply.text) == (550, "5.1.1", "5.1.1 There is no such person")
    assert str(reply) == "550 5.1.1 There is no such person"


def test_a_reply_may_be_a_bare_code() -> None:
    assert str(read(b"250\r\n")) == "250"


def test_an_enhanced_code_of_another_class_is_only_text() -> None:
    assert read(b"450 5.1.1 odd\r\n").enhanced == ""


def test_what_is_shown_to_people_is_printable_and_bounded() -> None:
    reply = read(b"550 \x1b[31mred\x00 \xff " + b"x" * 3000 + b"\r\n")
    assert reply.text.isprintable()
    assert len(reply.text) <= MAX_TEXT_CHARS


@pytest.mark.parametrize(
    "content",
    [
        b"hello\r\n",
        b"99 low\r\n",
        b"650 high\r\n",
        b"250-a\r\n251 b\r\n",
        b"250x\r\n",
        b"\r\n",
        b"250-more\r\n" * 200,
        b"250 " + b"x" * 2 * MAX_LINE_OCTETS + b"\r\n",
    ],
)
def test_what_is_no_reply_is_told_so(content: bytes) -> None:
    with pytest.raises(MalformedReply):
        read(content)


@pytest.mark.parametrize("content", [b"", b"250", b"250-a\r\n", b"250-a\r\n25"])
def test_an_end_within_a_reply_is_an_end(content: bytes) -> None:
    with pytest.raises(EOFError):
        read(content)


@given(st.binary(max_size=200))
def test_no_bytes_surprise_the_reader(content: bytes) -> None:
    try:
        reply = read(content)
    except (MalformedReply, EOFError):
        return
    assert 200 <= reply.code < 600
