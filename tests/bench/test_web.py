"""The lean HTTP client reads both ways of telling a body's end."""

import asyncio

import pytest

from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.web import Connection
from tests.bench.listening import listening


class Answers(asyncio.Protocol):
    """Answers each request with the next of what it was given."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(self._answers.pop(0))


async def test_a_connection_is_kept_from_one_answer_to_the_next() -> None:
    answers = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmany\r\n6\r\n words\r\n0\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}',
    ]
    async with listening(lambda: Answers(answers)) as port:
        connection = Connection(port)
        assert (await connection.request("GET", "/")).body == b"many words"
        assert (await connection.request("GET", "/")).json() == {"a": 1}
        await connection.close()


async def test_an_unexpected_answer_is_no_figure() -> None:
    answers = [b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nAway"]
    async with listening(lambda: Answers(answers)) as port:
        connection = Connection(port)
        with pytest.raises(BenchFailed, match="503 and not 202: Away"):
            await connection.request("POST", "/api/v1/messages", b"{}", expect=202)
        await connection.close()
