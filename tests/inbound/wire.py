"""A raw SMTP client for tests: says exactly what it is told to, and reads replies whole."""

import socket
from types import TracebackType
from typing import Self

from tests.mail import raw_mail

REPLY_SECONDS = 20


class RawClient:
    """One connection. `says` sends bytes as they are; `hears` reads one reply, of however many lines."""

    def __init__(self, port: int, *, greet: bool = True, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), REPLY_SECONDS, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")
        self.greeting = self.hears()
        if greet:
            self.asks(b"EHLO client.example")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def forget_reader(self) -> None:
        """Before TLS: nothing may be left in it."""
        self._file.close()

    def go_on_over(self, connection: socket.socket) -> None:
        self.socket = connection
        self._file = connection.makefile("rb")

    def says(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hears(self) -> str:
        """One reply, or "" when the other side has closed."""
        lines = []
        while line := self._file.readline().decode():
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                break
        return "\n".join(lines)

    def asks(self, command: bytes) -> str:
        self.says(command + b"\r\n")
        return self.hears()

    def addresses(self, *recipients: str, sender: str = "elena@customer.example") -> list[str]:
        """MAIL and RCPT; the replies to RCPT."""
        reply = self.asks(f"MAIL FROM:<{sender}>".encode())
        assert reply.startswith("250"), reply
        return [self.asks(f"RCPT TO:<{recipient}>".encode()) for recipient in recipients]

    def sends(self, raw: bytes, *recipients: str, sender: str = "elena@customer.example") -> str:
        """A whole transaction, dots stuffed; the reply after the final dot."""
        for reply in self.addresses(*recipients, sender=sender):
            assert reply.startswith("250"), reply
        reply = self.asks(b"DATA")
        assert reply.startswith("354"), reply
        self.says(stuffed(raw))
        return self.hears()


def stuffed(raw: bytes) -> bytes:
    """As it goes over the wire after DATA. `raw` must end with CRLF."""
    assert raw.endswith(b"\r\n") or not raw
    return (b"\r\n" + raw).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def send(
    port: int, raw: bytes | None = None, *recipients: str, sender: str = "elena@customer.example"
) -> str:
    """One mail over a connection of its own; the reply after the final dot."""
    with RawClient(port) as client:
        return client.sends(raw or raw_mail(), *(recipients or ("support@house.test",)), sender=sender)
