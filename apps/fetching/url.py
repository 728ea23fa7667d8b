"""An address out of a mail, taken apart: what may be asked for at all.

Nothing is resolved here. What a name leads to is checked where the socket is opened (`guard`).
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

import idna

from apps.fetching.errors import FetchFailed

MAX_URL_CHARS = 2000
_DEFAULT_PORTS = {"https": 443, "http": 80}
# RFC 3986 §2: what may stand in a path and a query as it is; all else is percent-encoded.
_KEPT = "/?:@!$&'()*+,;=-._~%[]"
_CONTROLS = re.compile(r"[\x00-\x20\x7f-\x9f\\]")


@dataclass(frozen=True, slots=True)
class Target:
    """`host` is a name in ASCII or an address without brackets; `path` has the query in it."""

    url: str
    is_secure: bool
    host: str
    port: int
    path: str

    @property
    def is_at_usual_port(self) -> bool:
        return self.port in _DEFAULT_PORTS.values()

    @property
    def host_header(self) -> str:
        """RFC 9112 §3.2: with the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        own = _DEFAULT_PORTS["https" if self.is_secure else "http"]
        return host if self.port == own else f"{host}:{self.port}"

    def joined(self, location: str) -> "Target":
        """Where a redirect leads. Raises FetchFailed."""
        try:
            return read_url(urljoin(self.url, location.strip()))
        except ValueError as error:
            raise FetchFailed("not_an_address", "It leads on to no address.") from error


def read_url(url: str) -> Target:
    """Raises FetchFailed for what is no http or https address, or has a name and a password in it."""
    if not url or len(url) > MAX_URL_CHARS or _CONTROLS.search(url):
        raise FetchFailed("not_an_address", "This is no address that can be asked.")
    try:
        parts = urlsplit(url)
        host = _ascii_host(parts.hostname or "")
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError as error:  # idna's errors are ValueErrors too
        raise FetchFailed("not_an_address", "This is no address that can be asked.") from error
    if parts.scheme not in _DEFAULT_PORTS or not host or parts.username is not None:
        raise FetchFailed("not_an_address", "Only http and https are asked, and without a password.")
    path = quote(parts.path or "/", safe=_KEPT) + (
        f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
    )
    return Target(url, parts.scheme == "https", host, port, path)


def _ascii_host(host: str) -> str:
    return host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()
