"""An id and our signature over it, as letters that survive a mail's way: 42 of them, a to z and 2 to 7.

Whoever shows such a token has been shown it by us. 80 bits of HMAC-SHA256 under a key derived from SECRET_KEY, one for
each purpose; what stands in `context` is signed with it and not said. Base32 in lower case, because programs on the way
may change the case of an address's local part and of whatever stands between angle brackets.

Limits: a token is good for as long as its key is known (SECRET_KEY_FALLBACKS); what it names may have gone before.
"""

import base64
import binascii
import functools
import hashlib
import hmac
import re
import uuid
from collections.abc import Sequence

from django.conf import settings

TOKEN = r"[a-z2-7]{42}"  # noqa: S105 - the shape of one
_SHAPE = re.compile(TOKEN)
_ID_LETTERS = 26
_SIGNATURE_OCTETS = 10


def known_secrets() -> tuple[str, ...]:
    """The platform's, as its settings have them. The first signs; the others were used before it."""
    return (settings.SECRET_KEY, *map(str, settings.SECRET_KEY_FALLBACKS))


def sign_id(signed: uuid.UUID, purpose: str, secret: str, context: bytes = b"") -> str:
    """The token of an id. The same again for the same arguments."""
    return _letters(signed.bytes) + _letters(_signature(signed.bytes + context, purpose, secret))


def read_id(token: str, purpose: str, secrets: Sequence[str], context: bytes = b"") -> uuid.UUID | None:
    """The id in a token; None for what we did not sign with any of `secrets`."""
    if not _SHAPE.fullmatch(token):
        return None
    octets, signature = _octets(token[:_ID_LETTERS]), _octets(token[_ID_LETTERS:])
    if octets is None or signature is None:
        return None
    genuine = [
        hmac.compare_digest(signature, _signature(octets + context, purpose, secret)) for secret in secrets
    ]
    return uuid.UUID(bytes=octets) if any(genuine) else None


def _signature(octets: bytes, purpose: str, secret: str) -> bytes:
    # Not `hmac.digest`: it lets go of the interpreter for a microsecond's work, and has to wait to get it back.
    mac = _keyed(purpose, secret).copy()
    mac.update(octets)
    return mac.digest()[:_SIGNATURE_OCTETS]


@functools.lru_cache(maxsize=16)
def _keyed(purpose: str, secret: str) -> hmac.HMAC:
    label = f"mailplatform.{purpose}:{secret}"
    return hmac.new(hashlib.sha256(label.encode()).digest(), digestmod="sha256")


def _letters(octets: bytes) -> str:
    return base64.b32encode(octets).decode().rstrip("=").lower()


def _octets(letters: str) -> bytes | None:
    try:
        octets = base64.b32decode(letters.upper() + "=" * (-len(letters) % 8))
    except binascii.Error:
        return None
    # 26 letters hold two bits more than an id: only one spelling of them is ours.
    return octets if _letters(octets) == letters else None
