"""Mail signed by somebody else's program: dkimpy, with a key whose record stands in a zone."""

import functools

import dkim
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from tests.mailauth.zone import Zone

MAIL = (
    b"From: Elena Marsh <elena@customer.example>\r\n"
    b"To: support@house.example\r\n"
    b"Subject: Invoice 20931\r\n charged twice\r\n"
    b"Message-ID: <1@customer.example>\r\n"
    b"\r\n"
    b"Dear team,\r\n\r\nplease  look.  \r\n\r\n\r\n"
)


@functools.cache
def rsa_key() -> bytes:
    key = generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


@functools.cache
def key_record() -> str:
    public = load_pem_private_key(rsa_key(), None).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return "v=DKIM1; p=" + "".join(pem.splitlines()[1:-1])


def publish(zone: Zone, domain: str, selector: str = "s1") -> None:
    zone.txt(f"{selector}._domainkey.{domain}", key_record())


def sign(
    content: bytes = MAIL,
    domain: str = "customer.example",
    *,
    forms: tuple[bytes, bytes] = (b"relaxed", b"relaxed"),
    algorithm: bytes = b"rsa-sha256",
    is_cut: bool = False,
    covers: tuple[bytes, ...] = (b"from", b"to", b"subject", b"message-id"),
) -> bytes:
    """With a DKIM-Signature on top. `is_cut`: with `l=`; `covers`: its `h=`."""
    field: bytes = dkim.DKIM(content).sign(
        b"s1",
        domain.encode(),
        rsa_key(),
        signature_algorithm=algorithm,
        canonicalize=forms,
        include_headers=list(covers),
        length=is_cut,
    )
    return field + content


def seal(content: bytes, sealer: str, results: str) -> bytes:
    """With one more ARC set, which says `results` of what came to the sealer."""
    told = f"Authentication-Results: {sealer}; {results}\r\n".encode() + content
    fields = dkim.arc_sign(told, b"s1", sealer.encode(), rsa_key(), sealer.encode())
    assert fields, "dkimpy ended the chain"
    return b"".join(fields) + content
