"""A server's certificate told to a person: whose it is, who vouches for it, until when."""

import ssl
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

MAX_NAMES = 5


@dataclass(frozen=True, slots=True)
class Certificate:
    names: tuple[str, ...]
    issuer: str
    expires_at: datetime
    is_self_signed: bool

    def covers(self, host: str) -> bool:
        """RFC 6125 §6.4: a star stands for one whole label."""
        above = host.lower().partition(".")[2]
        return any(name.lower() in {host.lower(), f"*.{above}"} for name in self.names)


def certificate_of(tls: ssl.SSLObject) -> Certificate | None:
    """What the server showed, whether or not it was checked; None for nothing that reads as a certificate."""
    shown = tls.getpeercert(binary_form=True)
    if not shown:
        return None
    try:
        read = x509.load_der_x509_certificate(shown)
        return Certificate(
            names=_names(read),
            issuer=_name(read.issuer),
            expires_at=read.not_valid_after_utc,
            is_self_signed=read.issuer == read.subject,
        )
    except ValueError:
        return None


def _names(read: x509.Certificate) -> tuple[str, ...]:
    try:
        alternative = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return (_name(read.subject),)
    addresses = [str(address) for address in alternative.get_values_for_type(x509.IPAddress)]
    return (*alternative.get_values_for_type(x509.DNSName), *addresses)


def _name(name: x509.Name) -> str:
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(kind):
            return str(attribute.value)
    return name.rfc4514_string()
