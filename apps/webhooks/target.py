"""A webhook's URL, taken apart and checked once, in the same way when it is kept and when it is used."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import idna

from apps.webhooks.addresses import Network, is_permitted
from apps.webhooks.errors import WebhookInvalid

MAX_URL_CHARS = 2000
_DEFAULT_PORTS = {"https": 443, "http": 80}
_PRINTABLE = re.compile(r"[!-~]+")
_LOWEST_FREE_PORT = 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where a push goes. `host` is a name in ASCII or an address without brackets; `path` has the query in it."""

    is_secure: bool
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """RFC 9112 §3.2: with the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        own = _DEFAULT_PORTS["https" if self.is_secure else "http"]
        return host if self.port == own else f"{host}:{self.port}"


def read_target(url: str, allowed: Sequence[Network]) -> Target:
    """Raises WebhookInvalid for `url`. Names are not resolved here: what they lead to is checked at each push."""
    if not url or len(url) > MAX_URL_CHARS or not url.isprintable() or " " in url:
        raise WebhookInvalid("url", f"A URL of 1 to {MAX_URL_CHARS:,} characters is wanted, without spaces.")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _ascii_host(parts.hostname or "")
    except ValueError as error:  # idna's errors are ValueErrors too
        raise WebhookInvalid("url", "This is no URL that can be called.") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise WebhookInvalid("url", "Its scheme is https.")
    if parts.scheme == "http" and not allowed:
        # The signature shows who sent it, and nothing hides it on the way.
        raise WebhookInvalid("url", "Its scheme is https: what is sent over http can be read on the way.")
    if parts.username is not None or parts.fragment or not host:
        raise WebhookInvalid("url", "It has a host, and neither a name and password nor a fragment.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _PRINTABLE.fullmatch(path):
        raise WebhookInvalid("url", "What is not ASCII in the path must be percent-encoded.")
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if port not in _DEFAULT_PORTS.values() and port < _LOWEST_FREE_PORT:
        # Mail, shells and databases listen there; none of them is a webhook's receiver.
        raise WebhookInvalid("url", "Its port is 443, 80, or one from 1024 on.")
    _check_literal(host, allowed)
    return Target(parts.scheme == "https", host, port, path)


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host.lower()
    return idna.encode(host, uts46=True).decode()


def _check_literal(host: str, allowed: Sequence[Network]) -> None:
    """Tell at once what every push would be refused for."""
    try:
        address = ip_address(host)
    except ValueError:
        return
    if not is_permitted(address, allowed):
        raise WebhookInvalid("url", "This address is not public.")
