"""Where a relay listens and what we show it: the part of a relay that conversations need, its password included.

A relay is written as a URL:

    smtp://host[:25]                  STARTTLS when the server offers it; its certificate is not checked, because
                                      whoever could forge it could as well hide the offer
    smtp://user:password@host[:587]   STARTTLS required, certificate checked
    smtps://[user:password@]host[:465]  TLS from the first byte, certificate checked
    …?tls=required                    STARTTLS required, certificate checked, without a password too
    …?tls=none                        no TLS at all, even with a password: for a relay on the same machine
    …?ca=/path/ca.pem                 trust this authority instead of the system's

A relay that is managed in the product has columns for the same; `relays.endpoints` makes the endpoint. For a
recipient's own server, `relays.mx` has looked up the addresses and they are the only ones that are connected to: who
answers for the name may change its mind between our check and the connection (DNS rebinding).
"""

import ssl
from dataclasses import dataclass, field, replace
from functools import lru_cache
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from apps.outbound.errors import RelayAddressInvalid
from apps.outbound.models import CertificatePolicy, RelaySecurity


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`addresses` are tried in order; empty leaves it to the system to look `host` up. `host` is what a certificate
    must name. `hello_name` is what we call ourselves, "" for our address.
    """

    host: str
    port: int
    security: RelaySecurity
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    certificates: CertificatePolicy = CertificatePolicy.BY_SECURITY
    addresses: tuple[str, ...] = ()
    hello_name: str = ""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def checks_certificate(self) -> bool:
        """Whether a certificate that does not hold ends the conversation. RFC 7435: a line whose encryption anybody in
        the middle can switch off gains nothing from a check, and loses the encryption.
        """
        if self.certificates == CertificatePolicy.BY_SECURITY:
            return self.security in {RelaySecurity.STARTTLS, RelaySecurity.TLS}
        return self.certificates == CertificatePolicy.REQUIRED

    @property
    def name(self) -> str:
        """What its row is called: stable, and without the password."""
        scheme = "smtps" if self.security == RelaySecurity.TLS else "smtp"
        user = f"{self.username}@" if self.username else ""
        return f"{scheme}://{user}{self}"


def parse_relay_url(url: str) -> Endpoint:
    """The endpoint a RELAY_URL names. Raises RelayAddressInvalid, whose text shows no password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        msg = "a relay's URL needs a host and, perhaps, a port"
        raise RelayAddressInvalid(msg) from error
    if parts.scheme not in {"smtp", "smtps"} or not host or parts.path.strip("/"):
        msg = "a relay's URL is smtp:// or smtps://, perhaps a user and password, and a host"
        raise RelayAddressInvalid(msg)
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    options = parse_qs(parts.query)
    if unknown := options.keys() - {"tls", "ca"}:
        msg = f"relay {host}: unknown option {min(unknown)}; there are tls and ca"
        raise RelayAddressInvalid(msg)
    return Endpoint(
        host=host,
        port=port or _usual_port(parts.scheme, username),
        security=_security_of(parts, options.get("tls", [""])[-1]),
        username=username,
        password=password,
        ca_file=options.get("ca", [""])[-1],
    )


def _usual_port(scheme: str, username: str) -> int:
    if scheme == "smtps":
        return 465  # RFC 8314 §3.3
    return 587 if username else 25


def _security_of(parts: SplitResult, tls: str) -> RelaySecurity:
    if tls not in {"", "none", "required"}:
        msg = f"relay {parts.hostname}: tls is none or required"
        raise RelayAddressInvalid(msg)
    if parts.scheme == "smtps":
        if tls == "none":
            msg = f"relay {parts.hostname}: smtps:// is TLS; write smtp:// for a line without"
            raise RelayAddressInvalid(msg)
        return RelaySecurity.TLS
    if tls == "none":
        return RelaySecurity.NONE
    if tls == "required" or parts.username:
        return RelaySecurity.STARTTLS
    return RelaySecurity.OPPORTUNISTIC


def without_tls(endpoint: Endpoint) -> Endpoint:
    """The same place over a plain line."""
    return replace(endpoint, security=RelaySecurity.NONE)


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """The TLS rules of an endpoint. Raises OSError when its CA file cannot be read."""
    return _tls_context(endpoint.ca_file, endpoint.checks_certificate)


@lru_cache(maxsize=32)
def _tls_context(ca_file: str, check: bool) -> ssl.SSLContext:  # noqa: FBT001 - private, both cases named above
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not check:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
