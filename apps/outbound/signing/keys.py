"""A domain's keys as a signer holds them, and as DNS publishes them (RFC 6376 §3.6.1, RFC 8463 §4).

Pure: nothing here reads a row or a setting.
"""

import base64
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from apps.outbound.models import KeyAlgorithm

# RFC 8301 §3.2: signers use at least 1024 bits and should use 2048; longer ones do not fit what some DNS panels take.
RSA_BITS = 2048
RSA_EXPONENT = 65537
# RFC 1035 §3.3.14: a TXT record is made of strings of up to 255 octets.
TXT_STRING_OCTETS = 255

_RSASSA, _OF_DIGEST = PKCS1v15(), Prehashed(SHA256())

PrivateKey = RSAPrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Key:
    """One key, ready to sign. Its repr shows no secret."""

    selector: str
    algorithm: KeyAlgorithm
    private: PrivateKey = field(repr=False)

    def sign_digest(self, sha256: bytes) -> bytes:
        """Sign a SHA-256 digest: RSASSA-PKCS1-v1_5 (RFC 6376 §3.3.1), or Ed25519 of the digest (RFC 8463 §3)."""
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(sha256, _RSASSA, _OF_DIGEST)
        return self.private.sign(sha256)


def generate(algorithm: KeyAlgorithm) -> PrivateKey:
    if algorithm == KeyAlgorithm.RSA:
        return generate_private_key(RSA_EXPONENT, RSA_BITS)
    return Ed25519PrivateKey.generate()


def private_bytes(key: PrivateKey) -> bytes:
    """PKCS #8, not encrypted: for sealing only."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def load_private(content: bytes) -> PrivateKey:
    # The seal vouches for the bytes; checking an RSA key's primes takes 30 ms.
    key = load_der_private_key(content, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        msg = "a signing key is RSA or Ed25519"
        raise TypeError(msg)
    return key


def public_text(key: PrivateKey) -> str:
    """What `p=` says: an RSA key as SubjectPublicKeyInfo, an Ed25519 key as its 32 octets (RFC 8463 §4)."""
    public = key.public_key()
    if isinstance(key, RSAPrivateKey):
        content = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        content = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(content).decode()


def record_name(selector: str, domain: str) -> str:
    return f"{selector}._domainkey.{domain}"


def record_value(algorithm: str, public: str) -> str:
    """The TXT record's text, whole: how it is cut into strings is the zone file's business (`txt_strings`)."""
    return f"v=DKIM1; k={algorithm}; p={public}"


def txt_strings(value: str) -> list[str]:
    """A TXT record's text in strings of at most 255 octets; whoever reads it joins them without a space."""
    return [value[at : at + TXT_STRING_OCTETS] for at in range(0, len(value), TXT_STRING_OCTETS)]


def new_selector(algorithm: KeyAlgorithm, now: datetime, taken: set[str]) -> str:
    """A name that tells when the key was made and what it is: `mp261123r`, then `mp261123r2`."""
    stem = f"mp{now:%y%m%d}{algorithm[0]}"
    number = 1
    while (name := stem if number == 1 else f"{stem}{number}") in taken:
        number += 1
    return name
