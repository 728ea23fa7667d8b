"""Sockets to strangers: to addresses that were checked, and for no longer than a deadline.

A name in a mail is its sender's, and may lead to our database, to a cloud's metadata service, or to something else
each time it is asked. So resolving, checking and connecting are one step: the socket goes to an address that was
checked a moment ago, and there is nothing between the two in which a name could change its mind. All addresses of a
name must be public; one private among them was put there to slip through.

The deadline is one moment for everything: a server that sends a byte every second, in its TLS, its head or its body,
gains nothing by it.

Limits: a lookup that hangs holds one of `LOOKUPS` threads until the system's resolver gives up.
"""

import socket
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from time import monotonic
from typing import Any

import httpcore

from apps.fetching.errors import FetchFailed
from apps.names.public_addresses import Address, is_public, reached

Network = IPv4Network | IPv6Network

LOOKUPS = 8
MAX_ADDRESSES = 4
CONNECT_SECONDS = 4.0
USUAL_PORTS = frozenset({80, 443})

_lookups = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="fetching-names")


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock."""

    at: float

    @classmethod
    def in_seconds(cls, seconds: float) -> "Deadline":
        return cls(monotonic() + seconds)

    def left(self, at_most: float | None = None) -> float:
        """Seconds until then, and no more than `at_most`. Raises FetchFailed once it has passed."""
        left = self.at - monotonic()
        if left <= 0:
            raise FetchFailed("timed_out", "It took too long.")
        return left if at_most is None else min(left, at_most)


@dataclass(frozen=True, slots=True)
class GuardedNetwork(httpcore.NetworkBackend):
    """Opens sockets to public addresses, at the ports of the web; to any port of `allowed` networks, for which
    alone plain http is where `only_secure`."""

    deadline: Deadline
    allowed: Sequence[Network] = field(default_factory=tuple)
    is_plain: bool = False
    only_secure: bool = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._checked(look_up(host, port, self.deadline), port)
        failure: Exception | None = None
        for address in addresses[:MAX_ADDRESSES]:
            try:
                seconds = self.deadline.left(CONNECT_SECONDS)
                stream = httpcore.SyncBackend().connect_tcp(str(address), port, seconds, None, socket_options)
                return _Timed(stream, self.deadline)
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
        raise FetchFailed("unreachable", "No connection could be made.") from failure

    def _checked(self, found: Sequence[str], port: int) -> list[Address]:
        addresses = [ip_address(one.partition("%")[0]) for one in found]
        if not addresses:
            raise FetchFailed("unresolvable", "The name leads nowhere.")
        for address in addresses:
            if any(
                reached(address) in one for one in self.allowed if one.version == reached(address).version
            ):
                continue
            if not is_public(address):
                raise FetchFailed("address_forbidden", "The name leads to an address that is not public.")
            if self.is_plain and self.only_secure:
                raise FetchFailed("not_secure", "Only https is asked.")
            if port not in USUAL_PORTS:
                raise FetchFailed("port_forbidden", "Only the ports of the web are asked.")
        return addresses


def look_up(host: str, port: int, deadline: Deadline) -> list[str]:
    """The addresses of a name, in the system's order. Raises FetchFailed."""
    asked = _lookups.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = asked.result(deadline.left())
    except TimeoutError as error:
        asked.cancel()
        raise FetchFailed("timed_out", "The name servers took too long.") from error
    except (socket.gaierror, UnicodeError) as error:
        raise FetchFailed("unresolvable", "The name in the address cannot be resolved.") from error
    return list(dict.fromkeys(str(address[0]) for *_family, address in found))


class _Timed(httpcore.NetworkStream):
    """A stream every step of which ends with the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left())
        return _Timed(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
