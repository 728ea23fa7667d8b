"""Who is behind a proxy: the PROXY protocol, versions 1 and 2 (haproxy.org/download/2.9/doc/proxy-protocol.txt).

A peer in SMTP_PROXY_NETWORKS must begin with it, and nobody else's words are taken for it: whether a header comes is
configured and never guessed (§2 there), or any client could say it is somebody else.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from apps.inbound.errors import LineRefused, NotProxied
from apps.inbound.wire import Wire

HEADER_SECONDS = 5.0
MAX_LINE_BYTES = 105  # §2.1: 107 with CRLF
MAX_BLOCK_BYTES = 1024  # §2.2: 216 with the longest addresses; what proxies add beside them is a few hundred
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_BEGINNING = len(_SIGNATURE)
_LOCAL, _PROXIED = 0x20, 0x21
_ADDRESSES = {
    0x11: (socket.AF_INET, 4, 12),
    0x21: (socket.AF_INET6, 16, 36),
}  # family, one address, the whole block


async def read_client_address(wire: Wire) -> str | None:
    """The address of the client behind the proxy; None when the proxy speaks for itself, as its health checks do.

    Raises NotProxied for anything that is no header, and what the wire raises.
    """
    wire.allow(HEADER_SECONDS)
    beginning = await wire.take(_BEGINNING)
    if beginning == _SIGNATURE:
        return await _read_block(wire)
    if beginning.startswith(b"PROXY "):
        try:
            return _parse_line(beginning + await wire.line(MAX_LINE_BYTES - _BEGINNING))
        except LineRefused as error:
            raise NotProxied("a PROXY line without an end") from error
    raise NotProxied("no PROXY header")


def _parse_line(line: bytes) -> str | None:
    """`PROXY TCP4 192.0.2.1 198.51.100.1 56324 25`"""
    words = line.decode("ascii", "replace").split(" ")
    if words[1] == "UNKNOWN":
        return None
    if len(words) != 6 or words[1] not in {"TCP4", "TCP6"}:
        raise NotProxied("a PROXY line with other words")
    try:
        address = ip_address(words[2])
    except ValueError as error:
        raise NotProxied("a PROXY line without an address") from error
    if address.version != int(words[1][-1]):
        raise NotProxied("a PROXY line with an address of another family")
    return str(address)


async def _read_block(wire: Wire) -> str | None:
    command, family, high, low = await wire.take(4)
    size = high << 8 | low
    if size > MAX_BLOCK_BYTES:
        raise NotProxied("a PROXY block that is too long")
    block = await wire.take(size)
    if command == _LOCAL:
        return None
    if command != _PROXIED or family not in _ADDRESSES:
        raise NotProxied("a PROXY block of another kind")
    which, width, needed = _ADDRESSES[family]
    if size < needed:
        raise NotProxied("a PROXY block without addresses")
    source = block[:width]
    return str(IPv4Address(source) if which == socket.AF_INET else IPv6Address(source))
