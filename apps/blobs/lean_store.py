"""GETs and PUTs of many small objects at once, signed and sent by hand: what the hot roads read and write with.

boto3 takes 1.4 ms of Python for a GET and 2 for a PUT, of which the network is the least part; whoever sends or takes a
thousand mails a second has one millisecond for everything. The signature (AWS Signature Version 4) of a request without
parameters is three hashes and one HMAC, over a key that holds for a day. Requests go out on a handful of lines before
the first answer is read, so that the store works on all of them while one thread reads them in turn.

Only what is plain is done here: a bucket by path at an endpoint of its own, an answer 200 or 206 with its length. Of
everything else nothing is told but that it must be asked for in the ordinary way, where errors have names. A PUT whose
answer was lost is so repeated: the same bytes under the same name.
"""

import hashlib
import hmac
import math
import re
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader
from itertools import islice
from typing import NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 20.0
# Servers close what is idle; a line that has rested longer than this is not trusted.
IDLE_SECONDS = 4.0
CONTENT_TYPE = "application/octet-stream"
_SIGNED = "host;x-amz-content-sha256;x-amz-date"
_LENGTH = re.compile(rb"content-length: *(\d+)\r\n", re.IGNORECASE)
_MAX_HEADER_LINES = 100
# 206: a piece, as asked for.
_PLAIN = (b"HTTP/1.1 200 ", b"HTTP/1.1 206 ")

About = TypeVar("About")


class Span(NamedTuple):
    """A piece of an object, from `start` to before `end`."""

    key: str
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start

    @property
    def header(self) -> str:
        """As RFC 9110 §14.1.2 writes it, last byte included. There is no range of no bytes."""
        return f"bytes={self.start}-{self.end - 1}"


@dataclass(slots=True)
class _Line:
    """A connection, and since when nobody uses it."""

    socket: socket.socket
    reader: BufferedReader
    rests_since: float = 0.0

    def close(self) -> None:
        self.reader.close()
        self.socket.close()


class LeanStore:
    """Objects of one bucket. Threads share it."""

    def __init__(
        self,
        *,
        endpoint_url: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        region: str,
        connections: int,
    ) -> None:
        parts = urlsplit(endpoint_url)
        self._host = parts.netloc
        self._address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._prefix = f"{parts.path.rstrip('/')}/{bucket}/"
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region
        self._connections = connections
        self._idle: deque[_Line] = deque(maxlen=connections)
        self._key_of_day: tuple[str, bytes] = ("", b"")

    def get_many(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of those that could be had without ado, in no particular order."""
        return self._converse((key, self._request("GET", key)) for key in keys)

    def get_spans(self, spans: Sequence[Span]) -> Iterator[tuple[Span, bytes]]:
        """The bytes of those pieces of objects that could be had without ado, in no particular order."""
        requests = ((span, self._request("GET", span.key, span=span)) for span in spans)
        return ((span, content) for span, content in self._converse(requests) if len(content) == span.length)

    def put_many(self, contents: Mapping[str, bytes], seconds: float = math.inf) -> Iterator[str]:
        """Store contents by their keys, in about so many seconds; the keys of those that were taken without ado."""
        requests = ((key, self._request("PUT", key, content) + content) for key, content in contents.items())
        return (key for key, _answer in self._converse(requests, time.monotonic() + seconds))

    def _converse(
        self, requests: Iterable[tuple[About, bytes]], until: float = math.inf
    ) -> Iterator[tuple[About, bytes]]:
        """The bodies of the plain answers, by what each request is about; so many at a time as there are lines."""
        requests = iter(requests)
        while some := list(islice(requests, self._connections)):
            asked, is_away = self._ask_all(some, until)
            # Of all of them together: a store that hangs must not be waited for on one line after the other.
            deadline = min(until, time.monotonic() + ANSWER_SECONDS)
            for about, line in asked:
                answer = self._hear(line, deadline)
                if answer is not None:
                    yield about, answer
            if is_away or time.monotonic() > until:
                return

    def _ask_all(
        self, requests: Sequence[tuple[About, bytes]], until: float
    ) -> tuple[list[tuple[About, _Line]], bool]:
        """The lines on which answers will come, and whether the store opens none any more.

        It is not tried again then: one that lets connecting hang would cost everybody seconds for each request.
        """
        asked: list[tuple[About, _Line]] = []
        for about, request in requests:
            left = until - time.monotonic()
            try:
                line = self._take_idle() or self._open(min(CONNECT_SECONDS, max(0.01, left)))
            except OSError:
                return asked, True
            try:
                line.socket.settimeout(min(ANSWER_SECONDS, max(0.01, left)))
                line.socket.sendall(request)
            except OSError:
                line.close()
            else:
                asked.append((about, line))
        return asked, False

    def _hear(self, line: _Line, deadline: float) -> bytes | None:
        try:
            line.socket.settimeout(max(0.01, deadline - time.monotonic()))
            content = self._read_answer(line.reader)
        except OSError:
            content = None
        if content is None or len(self._idle) == self._connections:
            line.close()
            return content
        line.rests_since = time.monotonic()
        self._idle.append(line)
        return content

    @staticmethod
    def _read_answer(reader: BufferedReader) -> bytes | None:
        """The body of a plain answer; None for anything else, after which the line is of no use."""
        if not reader.readline(4096).startswith(_PLAIN):
            return None
        length = None
        for _line in range(_MAX_HEADER_LINES):
            header = reader.readline(8192)
            if header == b"\r\n":
                break
            if match := _LENGTH.fullmatch(header):
                length = int(match.group(1))
        else:
            return None
        if length is None:
            return None
        content = reader.read(length)
        return content if len(content) == length else None

    def _take_idle(self) -> _Line | None:
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - line.rests_since < IDLE_SECONDS:
                return line
            line.close()

    def _open(self, seconds: float) -> _Line:
        connection = socket.create_connection(self._address, seconds)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_hostname=self._address[0])
            return _Line(connection, connection.makefile("rb"))
        except BaseException:
            connection.close()
            raise

    def _request(self, method: str, key: str, content: bytes = b"", *, span: Span | None = None) -> bytes:
        """Everything of a request but its content, whose hash is signed: what arrived damaged is refused."""
        path = self._prefix + quote(key, safe="/-_.~")
        at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{at[:8]}/{self._region}/s3/aws4_request"
        digest = hashlib.sha256(content).hexdigest()
        canonical = (
            f"{method}\n{path}\n\nhost:{self._host}\nx-amz-content-sha256:{digest}\nx-amz-date:{at}\n\n"
            f"{_SIGNED}\n{digest}"
        )
        to_sign = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key_for(at[:8]), to_sign.encode(), "sha256").hex()
        extra = f"Range: {span.header}\r\n" if span else ""
        length = (
            f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(content)}\r\n" if method == "PUT" else ""
        )
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nx-amz-content-sha256: {digest}\r\n"
            f"x-amz-date: {at}\r\n{extra}{length}Authorization: AWS4-HMAC-SHA256 "
            f"Credential={self._access_key}/{scope}, SignedHeaders={_SIGNED}, Signature={signature}\r\n\r\n"
        ).encode()

    def _key_for(self, day: str) -> bytes:
        known_day, key = self._key_of_day
        if known_day != day:
            key = f"AWS4{self._secret_key}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key_of_day = (day, key)
        return key
