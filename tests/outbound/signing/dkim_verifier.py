"""dkimpy as the judge of our signatures, with keys from a table in place of DNS.

dkimpy verifies Ed25519 through PyNaCl, which is not installed; `cryptography` stands in for the one class it uses.
"""

import base64
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import dkim
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from apps.outbound.signing.keys import Key, public_text, record_name, record_value

Dns = Callable[..., bytes | None]


class _VerifyKey:
    def __init__(self, text: bytes, encoder: object) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text))

    def verify(self, digest: bytes, signature: bytes) -> None:
        self._key.verify(signature, digest)


def use_cryptography_for_ed25519() -> None:
    nacl = SimpleNamespace(
        signing=SimpleNamespace(VerifyKey=_VerifyKey),
        encoding=SimpleNamespace(Base64Encoder=None),
        exceptions=SimpleNamespace(BadSignatureError=InvalidSignature, ValueError=ValueError),
    )
    dkim.nacl = nacl


def dns_of(keys: Mapping[str, Key], domain: str) -> Dns:
    """What DNS answers when the records of these keys are published."""
    records = {
        f"{record_name(key.selector, domain)}.": record_value(key.algorithm, public_text(key.private))
        for key in keys.values()
    }

    def look_up(name: bytes, timeout: int = 5) -> bytes | None:
        found = records.get(name.decode())
        return found.encode() if found is not None else None

    return look_up


def verifies(content: bytes, dns: Dns, *, nth: int = 0) -> bool:
    """Whether the nth signature from the top is valid. Raises dkim.DKIMException for one that is malformed."""
    judged: bool = dkim.DKIM(content, minkey=1024).verify(nth, dnsfunc=dns)
    return judged
