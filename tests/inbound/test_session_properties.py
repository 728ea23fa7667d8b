"""Any bytes in any pieces: the same replies, no failure of ours, and no message that CRLF.CRLF did not end.

The session runs over a transport in memory, so that hypothesis decides where the pieces end. What it should have made
of the stream is said a second time, by a reader of whole streams that knows RFC 5321 §4.1.1.4 and the replies alone.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.inbound.limits import Gate, Limits
from apps.inbound.service import Client, Command, RecipientAnswer, Transaction
from apps.inbound.smtp import OUR_FAILURE, ListenerKind, SmtpSession
from apps.inbound.wire import BLOCK_BYTES, HIGH_WATER_BYTES, Wire
from apps.organisations.models import new_id

OWNER = new_id()
LIMITS = Limits(max_size_bytes=200_000, max_errors=15, max_idle_commands=30, max_excess_recipients=50)


@dataclass
class Recorder:
    """A Service that takes everything for house.test and remembers it."""

    taken: list[tuple[str, tuple[str, ...], bytes]] = field(default_factory=list)
    commands: Mapping[str, Command] = field(default_factory=dict)
    mail_parameters: Collection[str] = ()

    def extensions(self, _client: Client) -> tuple[str, ...]:
        return ()

    async def sender(self, _client: Client, _address: str) -> str:
        return ""

    async def recipient(self, _client: Client, address: str) -> RecipientAnswer:
        if address.endswith("@house.test"):
            return RecipientAnswer(address, OWNER)
        return RecipientAnswer(address, None, "550 5.7.1 Relaying denied")

    async def accept(self, _client: Client, transaction: Transaction, content: bytes) -> str:
        self.taken.append((transaction.sender, tuple(transaction.recipients[OWNER]), content))
        return "250 2.0.0 Accepted"

    def close(self) -> None:
        pass


class MemoryTransport(asyncio.Transport):
    """Keeps what is written, and whether its reader wants more."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 40000)})
        self.written = bytearray()
        self.is_paused = False
        self._is_closing = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing, self.is_paused = True, False

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


def connect(service: Recorder, gate: Gate) -> tuple[Wire, MemoryTransport, asyncio.Task[None]]:
    """A session that has just begun."""
    kind = ListenerKind(service=service, gate=gate, hostname="mx.house.test")
    tasks: list[asyncio.Task[None]] = []
    wire = Wire(
        lambda made: tasks.append(asyncio.get_running_loop().create_task(SmtpSession(kind, made).converse())),
        memoryview(bytearray(BLOCK_BYTES)),
    )
    transport = MemoryTransport()
    wire.connection_made(transport)
    return wire, transport, tasks[0]


async def converse(pieces: Sequence[bytes]) -> tuple[bytes, Recorder, int]:
    """(all replies, what was taken, the most that was buffered at once)"""
    service, gate = Recorder(), Gate(LIMITS)
    wire, transport, session = connect(service, gate)
    most = 0
    for piece in pieces:
        for start in range(0, len(piece), BLOCK_BYTES):
            while transport.is_paused:  # noqa: ASYNC110 - the session decides when
                await asyncio.sleep(0)
            if transport.is_closing():
                break  # the system delivers nothing any more
            part = piece[start : start + BLOCK_BYTES]
            wire.get_buffer(-1)[: len(part)] = part
            wire.buffer_updated(len(part))
            most = max(most, wire.buffered_bytes)
        await asyncio.sleep(0)
    wire.eof_received()
    await session
    wire.connection_lost(None)
    assert gate.connections == gate.in_flight_bytes == 0
    return bytes(transport.written), service, most


def replies_in(written: bytes) -> list[bytes]:
    """Whole replies; lines of one reply are joined."""
    *lines, rest = written.split(b"\r\n")
    assert rest == b"", "the last reply was cut off"
    replies: list[bytes] = []
    unfinished = b""
    for line in lines:
        assert line[:3].isdigit() and line[3:4] in {b" ", b"-"}, line
        unfinished += line
        if line[3:4] == b" ":
            replies.append(unfinished)
            unfinished = b""
    assert not unfinished
    return replies


def contents_meant(said: bytes, replies: Sequence[bytes]) -> list[bytes]:
    """The messages in a stream, by one reply for each line and for each end of data."""
    contents, position, left = list[bytes](), 0, list(replies[1:])
    while left and (end := said.find(b"\n", position)) >= 0:
        position = end + 1
        reply = left.pop(0)
        if reply.startswith(b"354"):
            data = b"\r\n" + said[position:]
            end = data.find(b"\r\n.\r\n")
            if end < 0:
                break
            position += end + 3
            if left and left.pop(0).startswith(b"250"):
                contents.append((data[: end + 2].replace(b"\r\n.", b"\r\n"))[2:])
    return contents


LINES = [
    b"EHLO c\r\n", b"HELO c\r\n", b"MAIL FROM:<a@x.example>\r\n", b"MAIL FROM:<> SIZE=5 SMTPUTF8\r\n", b"RSET\r\n",
    b"RCPT TO:<s@house.test>\r\n", b"RCPT TO:<s@elsewhere.example>\r\n", b"DATA\r\n", b"NOOP\r\n", b"QUIT\r\n",
    b"VRFY a\r\n", b"STARTTLS\r\n", b"AUTH PLAIN AAAA\r\n", b"BDAT 3 LAST\r\n", b"POST / HTTP/1.1\r\n", b"NOOP\n",
    b"RCPT TO:<@a,@b:s@house.test>\r\n", b'RCPT TO:<"a>b"@house.test>\r\n', b"MAIL FROM:<" + b"x" * 3000 + b">\r\n",
]  # fmt: skip
OPENING = b"EHLO c\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<s@house.test>\r\nDATA\r\n"
BITS = [
    b"\r\n",
    b"\n",
    b"\r",
    b".",
    b"..",
    b"\0",
    b"\r\n.\r\n",
    b"\n.\n",
    b"\r.\r",
    b"\r\n.",
    b".\r\n",
    b"x",
    b"\xff\xfe",
]
streams = st.one_of(
    st.lists(st.sampled_from(LINES), max_size=30).map(b"".join),
    st.lists(st.sampled_from(BITS), max_size=40).map(lambda bits: OPENING + b"".join(bits)),
    st.lists(st.sampled_from([*BITS, *LINES, OPENING]), max_size=40).map(b"".join),
    st.binary(max_size=400).map(lambda body: OPENING + body + b"\r\n.\r\nQUIT\r\n"),
    st.binary(max_size=400),
)


def cut(said: bytes, places: Sequence[int]) -> list[bytes]:
    edges = sorted({place % (len(said) + 1) for place in places} | {0, len(said)})
    return [said[start:end] for start, end in pairwise(edges)]


@settings(max_examples=600, deadline=None)
@given(streams, st.lists(st.integers(0, 10_000), max_size=30))
@example(OPENING + b"a\r\n.\r\n" + OPENING[8:] + b"\r\n..\r\n.\r\nQUIT\r\n", list(range(200)))
def test_any_stream_in_any_pieces_is_understood_in_one_way(said: bytes, places: list[int]) -> None:
    whole, at_once, _most = asyncio.run(converse([said]))
    pieces, in_pieces, _most = asyncio.run(converse(cut(said, places)))
    assert pieces == whole
    assert in_pieces.taken == at_once.taken
    assert OUR_FAILURE.encode() not in whole
    assert b"421 4.3.2" not in whole
    replies = replies_in(whole)
    assert [content for _sender, _recipients, content in at_once.taken] == contents_meant(said, replies)
    assert all(who.endswith("@house.test") for _sender, to, _content in at_once.taken for who in to)


@settings(max_examples=60, deadline=None)
@given(streams)
def test_byte_by_byte_is_the_same_as_at_once(said: bytes) -> None:
    whole, at_once, _most = asyncio.run(converse([said]))
    single, in_bytes, _most = asyncio.run(converse([said[n : n + 1] for n in range(len(said))]))
    assert (single, in_bytes.taken) == (whole, at_once.taken)


@pytest.mark.parametrize(
    "said",
    [
        b"x" * 5_000_000,
        OPENING + b"y" * 5_000_000,
        OPENING + b"\r\n" * 2_500_000,
        OPENING + b"\r\n.x" * 1_500_000,
        b"NOOP\r\n" * 800_000,
        b"EHLO c\r\nMAIL FROM:<a@x.example>\r\n" + b"RCPT TO:<s@house.test>\r\n" * 10_000,
        b"EHLO c\r\nMAIL FROM:<a@x.example>\r\n" + b"RCPT TO:<s@elsewhere.example>\r\n" * 10_000,
    ],
    ids=["command", "line of data", "blank lines", "dots", "noops", "recipients", "strangers"],
)
def test_what_is_kept_is_bounded_whatever_is_sent(said: bytes) -> None:
    written, service, most = asyncio.run(converse([said]))
    assert most <= HIGH_WATER_BYTES + BLOCK_BYTES
    assert len(written) < 20_000
    assert service.taken == []


async def test_a_client_that_reads_no_reply_is_given_up() -> None:
    """Nothing that it waits for is ours: the time of commands and blocks does not run while it has not read the last
    reply, and it would have its connection for ever."""
    gate = Gate(Limits(command_seconds=0.1))
    wire, transport, session = connect(Recorder(), gate)
    wire.pause_writing()  # as the system does when what was written has not left
    said = b"EHLO c\r\n"
    wire.get_buffer(-1)[: len(said)] = said
    wire.buffer_updated(len(said))
    await asyncio.wait_for(session, 20)
    assert transport.is_closing()
    assert gate.connections == 0
