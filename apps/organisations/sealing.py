"""Secrets at rest: what the database holds of a private key or a relay's password is worth nothing without SECRET_KEY.

AES-256-GCM under a key that HKDF-SHA256 (RFC 5869) derives from SECRET_KEY, one for each purpose. The purpose is part
of the key and so must be said again to unseal: a text that was sealed as one thing and copied into the column of
another does not open. Name the row in it where that is possible (`"dkim:example.org/s1"`).

The text begins with the version of this format. SECRET_KEY is changed by moving the old one into SECRET_KEY_FALLBACKS:
what it sealed still opens, `is_stale` tells which that is, and sealing it again makes the old key dispensable.

Limits: whoever has both the database and SECRET_KEY has the secrets. Python cannot wipe memory, so a secret that was
unsealed stays in the process for a while.
"""

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

VERSION = "v1"
NONCE_BYTES = 12  # NIST SP 800-38D §8.2: 96 bits; random ones are safe for 2^32 secrets of one purpose


class SealBroken(Exception):
    """The text was damaged, sealed for something else, or sealed under a key that is not known any more."""


def seal(plaintext: bytes, purpose: str) -> str:
    """A text to keep in the database. Sealing the same again gives another text."""
    nonce = os.urandom(NONCE_BYTES)
    ciphertext = _cipher(settings.SECRET_KEY, purpose).encrypt(nonce, plaintext, VERSION.encode())
    return f"{VERSION}.{base64.urlsafe_b64encode(nonce + ciphertext).decode()}"


def unseal(sealed: str, purpose: str) -> bytes:
    """What was sealed for this purpose. Raises SealBroken, which quotes nothing."""
    return _open(sealed, purpose, [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS])


def is_stale(sealed: str, purpose: str) -> bool:
    """Whether it opens with a fallback only, and should be sealed again. Raises SealBroken when with none."""
    try:
        _open(sealed, purpose, [settings.SECRET_KEY])
    except SealBroken:
        unseal(sealed, purpose)
        return True
    return False


def _open(sealed: str, purpose: str, secrets: list[str]) -> bytes:
    version, _dot, encoded = sealed.partition(".")
    if version != VERSION:
        raise SealBroken("not a sealed text of a version we know")
    try:
        content = base64.b64decode(encoded.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise SealBroken("a sealed text is damaged") from None
    nonce, ciphertext = content[:NONCE_BYTES], content[NONCE_BYTES:]
    for secret in secrets:
        try:
            return _cipher(secret, purpose).decrypt(nonce, ciphertext, VERSION.encode())
        except (InvalidTag, ValueError):  # ValueError: a nonce that was cut short
            continue
    raise SealBroken("a sealed text opens with none of the keys we know")


def _cipher(secret: str, purpose: str) -> AESGCM:
    info = f"mailplatform.sealing.{VERSION}:{purpose}".encode()
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret.encode()))
