"""Opening a line to an endpoint: to the addresses that were looked up and checked, or to its name.

Addresses are tried one after the other, each with a time of its own, because one that is silent (IPv6 behind a router
that knows none) must not use up what the next one needs. What is connected to is the address; what TLS checks is the
name.
"""

import asyncio
import ssl

from apps.outbound.wire.endpoint import Endpoint
from apps.outbound.wire.line import Line

SECONDS_PER_ADDRESS = 10

_ACCOUNTS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "no answer in time"),
    (ssl.SSLError, "the TLS handshake failed"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionError, "the connection was reset"),
)


async def connect(endpoint: Endpoint, context: ssl.SSLContext | None) -> Line:
    """A line to the first address that answers, with TLS from the first byte where there is a context.

    Raises what the last address failed with: OSError, TimeoutError or ssl.SSLError.
    """
    name = endpoint.host if context is not None else None
    *others, last = endpoint.addresses or (endpoint.host,)
    for address in others:
        try:
            async with asyncio.timeout(SECONDS_PER_ADDRESS):
                return await _open(address, endpoint.port, context, name)
        except OSError:  # TimeoutError and ssl.SSLError are kinds of it
            continue
    return await _open(last, endpoint.port, context, name)


async def _open(address: str, port: int, context: ssl.SSLContext | None, name: str | None) -> Line:
    _transport, line = await asyncio.get_running_loop().create_connection(
        Line, address, port, ssl=context, server_hostname=name
    )
    return line


async def encrypt(line: Line, endpoint: Endpoint, context: ssl.SSLContext) -> Line:
    """TLS over an open line, as a new line: what was said in plain text and not heard yet stays with the old one.

    An attacker could inject answers there before the handshake (as in CVE-2021-38371). Raises OSError, EOFError.
    """
    encrypted = Line()
    transport = await asyncio.get_running_loop().start_tls(
        line.part_with_transport(), encrypted, context, server_hostname=endpoint.host
    )
    if transport is None:
        msg = "the connection closed during the TLS handshake"
        raise EOFError(msg)
    encrypted.connection_made(transport)
    return encrypted


def account_of(error: BaseException) -> str:
    """What broke, in words for a person."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    for kind, words in _ACCOUNTS:
        if isinstance(error, kind):
            return words
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
