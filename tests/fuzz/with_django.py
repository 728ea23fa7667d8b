"""The targets whose code needs Django's settings, though no server: bounces, and DATA as it comes off the wire."""

import asyncio

import django

django.setup()

from apps.inbound.errors import PeerGone  # noqa: E402
from apps.inbound.wire import Wire  # noqa: E402
from apps.mime.parse import parse  # noqa: E402
from apps.outbound.bounces.reading import read_report  # noqa: E402


def read_a_bounce(data: bytes) -> None:
    report = read_report(parse(data), data, envelope_sender="")
    for told in report.told if report else ():
        f"{told.recipient} {told.diagnostic} {told.status}".encode()


def read_smtp_data(data: bytes) -> None:
    asyncio.run(_read_smtp_data(data))


class _Peer(asyncio.Transport):
    """A connection from which bytes come in pieces of one size, each when the reader waits for it."""

    def __init__(self, data: bytes, piece: int) -> None:
        super().__init__()
        self.rest = data
        self.piece = piece

    def speak(self, wire: Wire) -> None:
        now, self.rest = self.rest[: self.piece], self.rest[self.piece :]
        if now:
            wire.get_buffer(len(now))[: len(now)] = now
            wire.buffer_updated(len(now))
        else:
            wire.eof_received()

    def pause_reading(self) -> None:
        """Nothing comes by itself here."""

    def resume_reading(self) -> None:
        """Nor does it then."""


async def _read_smtp_data(data: bytes) -> None:
    """What is read as one message is exactly what stands before the first CRLF.CRLF, in whatever pieces it came."""
    peer = _Peer(data, piece=1 + (data[0] if data else 0))
    wire = Wire(lambda _wire: None, memoryview(bytearray(512)))
    wire.connection_made(peer)
    loop = asyncio.get_running_loop()
    blocks: list[bytes] = []

    def speak() -> None:
        loop.call_soon(peer.speak, wire)

    try:
        async for block in wire.data(speak):
            blocks.append(block)
    except PeerGone:
        assert b"\r\n.\r\n" not in b"\r\n" + data, "an end was not seen"
        return
    head, end, _ = (b"\r\n" + data).partition(b"\r\n.\r\n")
    assert end, "an end was seen where none is"
    assert b"".join(blocks) == head + b"\r\n", "something else was read than what was sent"


TARGETS = {"bounce": read_a_bounce, "smtp": read_smtp_data}
