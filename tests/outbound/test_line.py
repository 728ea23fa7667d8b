"""A line by itself: how replies are cut does not matter, and who waits on it waits no longer than he said."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.outbound.wire.line import MAX_UNHEARD, Line
from apps.outbound.wire.smtp_reply import MalformedReply, ReplyReader

SAID = b"250-first\r\n250 second\r\n354 go on\r\n550-5.1.1 no\r\n550 5.1.1 nobody\r\n250\r\n"


class NoTransport(asyncio.Transport):
    """Takes what is written and tells nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


def open_line() -> Line:
    line = Line()
    line.connection_made(NoTransport())
    return line


@given(st.lists(st.integers(0, len(SAID)), max_size=8))
def test_replies_are_the_same_however_their_bytes_are_cut(places: Sequence[int]) -> None:
    cuts = [0, *sorted(places), len(SAID)]
    reader = ReplyReader()
    pieces = [SAID[start:end] for start, end in itertools.pairwise(cuts)]
    replies = [str(reply) for piece in pieces for reply in reader.feed(piece)]
    assert replies == ["250 first second", "354 go on", "550 5.1.1 no nobody", "250"]


async def test_a_wait_ends_when_its_time_is_over_although_the_timer_was_set_for_a_longer_one() -> None:
    line = open_line()
    long_wait = asyncio.create_task(line.hear(60))
    await asyncio.sleep(0)
    line.data_received(b"250 ok\r\n")
    assert (await long_wait).code == 250
    with pytest.raises(TimeoutError):
        await line.hear(0.01)


async def test_a_timer_that_was_set_for_a_wait_that_is_over_ends_no_later_one() -> None:
    line = open_line()
    short_wait = asyncio.create_task(line.hear(0.01))
    await asyncio.sleep(0)
    line.data_received(b"250 ok\r\n")
    assert (await short_wait).code == 250
    long_wait = asyncio.create_task(line.hear(60))
    done, _pending = await asyncio.wait([long_wait], timeout=0.05)
    assert not done
    line.data_received(b"354 go on\r\n")
    assert (await long_wait).code == 354


async def test_what_was_said_before_the_end_is_heard_before_it() -> None:
    line = open_line()
    line.data_received(b"421 4.3.2 closing down\r\n")
    line.eof_received()
    assert line.has_ended
    assert (await line.hear(1)).code == 421
    with pytest.raises(EOFError):
        await line.hear(1)


async def test_a_line_that_breaks_wakes_who_waits_for_a_reply_and_who_waits_for_room() -> None:
    for wait in (Line.hear, Line.flush):
        line = open_line()
        line.pause_writing()
        waiting = asyncio.create_task(wait(line, 60))
        await asyncio.sleep(0)
        line.connection_lost(ConnectionResetError())
        with pytest.raises(ConnectionResetError):
            await waiting


async def test_who_waits_for_room_goes_on_when_there_is_some_and_not_on_a_reply() -> None:
    line = open_line()
    line.pause_writing()
    waiting = asyncio.create_task(line.flush(60))
    await asyncio.sleep(0)
    line.data_received(b"421 4.4.2 too slow\r\n")
    await asyncio.sleep(0)
    assert not waiting.done()
    line.resume_writing()
    await waiting


async def test_a_server_that_talks_without_end_is_broken_off() -> None:
    line = open_line()
    line.data_received(b"250 ok\r\n" * (MAX_UNHEARD + 1) * 100)
    assert line.has_ended
    heard = 0
    with pytest.raises(MalformedReply):
        while await line.hear(1):
            heard += 1
    assert heard == MAX_UNHEARD + 1
    line.data_received(b"250 ok\r\n")
    with pytest.raises(MalformedReply):
        await line.hear(1)


async def test_nothing_is_written_on_a_line_that_has_ended() -> None:
    line = open_line()
    line.eof_received()
    line.write(b".\r\n")
    assert isinstance(line.transport, NoTransport)
    assert line.transport.written == b""
