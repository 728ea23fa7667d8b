"""What is encrypted or signed in a message, told by name: S/MIME (RFC 8551), PGP/MIME (RFC 3156), PGP in the text.

Nothing is decrypted and no signature is verified here: both need keys and trust that a server which strangers write to
should not hold. Every such part is kept. One form is opened all the same: an opaque S/MIME signature holds the whole
mail as its content, and a reader without S/MIME sees nothing of it, so the content is taken out (RFC 5652 §5.2).
"""

import re

from apps.mime.structure import Entity

SMIME_ENCRYPTED = "smime_encrypted"
SMIME_SIGNED = "smime_signed"
PGP_ENCRYPTED = "pgp_encrypted"
PGP_SIGNED = "pgp_signed"

_PKCS7 = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_PKCS7_NAMES = (".p7m", ".p7z")
_SIGNATURES = {
    "application/pkcs7-signature": SMIME_SIGNED,
    "application/x-pkcs7-signature": SMIME_SIGNED,
    "application/pgp-signature": PGP_SIGNED,
}
_PGP_CONTROL = "application/pgp-encrypted"
_PGP_TEXT = re.compile(r"^-----BEGIN PGP (MESSAGE|SIGNED MESSAGE)-----\s*$", re.MULTILINE)
_PGP_SEARCHED_CHARS = 100_000

# RFC 5652 §4, RFC 5083 §2.1, RFC 3274 §1.1: the contents that an S/MIME body may have.
_OID_SIGNED = bytes.fromhex("2a864886f70d010702")
_OID_ENCRYPTED = frozenset({bytes.fromhex("2a864886f70d010703"), bytes.fromhex("2a864886f70d0109100117")})
_SEQUENCE, _SET, _INTEGER, _OID, _OCTETS, _EXPLICIT = 0x30, 0x31, 0x02, 0x06, 0x04, 0xA0
_OCTETS_IN_PIECES = 0x24
_END_OF_CONTENTS = b"\x00\x00"
_MAX_PIECES = 100_000


def is_pkcs7(content_type: str, filename: str) -> bool:
    """Whether a part is an S/MIME body, be it by name only, as some gateways leave it."""
    return content_type in _PKCS7 or (
        content_type == "application/octet-stream" and filename.lower().endswith(_PKCS7_NAMES)
    )


def protection_of(entity: Entity) -> str:
    """How an entity is protected, by its own type; "" when it is not."""
    if entity.content_type == "multipart/encrypted":
        return PGP_ENCRYPTED if "pgp" in entity.parameters.get("protocol", "pgp").lower() else SMIME_ENCRYPTED
    if entity.content_type == "multipart/signed":
        return _SIGNATURES.get(entity.parameters.get("protocol", "").strip().lower(), "")
    # By the part alone where what is around it does not say so: Exchange makes multipart/mixed of encrypted mail, and
    # some programs forget the protocol (RFC 1847 §2.1 wants it).
    return PGP_ENCRYPTED if entity.content_type == _PGP_CONTROL else _SIGNATURES.get(entity.content_type, "")


def protection_of_text(text: str) -> str:
    """How a text is protected that is PGP by itself (RFC 9580 §6.2, §7); "" when it is not."""
    match = _PGP_TEXT.search(text, 0, _PGP_SEARCHED_CHARS)
    if match is None:
        return ""
    return PGP_ENCRYPTED if match[1] == "MESSAGE" else PGP_SIGNED


def open_pkcs7(data: bytes) -> tuple[str, bytes]:
    """(what an S/MIME body is, the mail within where it is only signed). Never raises; ("", b"") for what is none."""
    reader = _Der(data)
    try:
        reader.enter(_SEQUENCE)
        oid = reader.take(_OID)
        if oid in _OID_ENCRYPTED:
            return SMIME_ENCRYPTED, b""
        if oid != _OID_SIGNED:
            return "", b""
        reader.enter(_EXPLICIT)
        reader.enter(_SEQUENCE)
        reader.take(_INTEGER)
        reader.take(_SET)
        reader.enter(_SEQUENCE)
        reader.take(_OID)
        reader.enter(_EXPLICIT)
        return SMIME_SIGNED, reader.octets()
    except (ValueError, IndexError):
        return (SMIME_SIGNED, b"") if _OID_SIGNED in data[:64] else ("", b"")


class _Der:
    """Just enough of BER (ITU-T X.690 §8.1) to walk to the content: forward only, each byte looked at once."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def enter(self, tag: int) -> None:
        """Go into a value of this tag."""
        self._head(tag)

    def take(self, tag: int) -> bytes:
        """A value of this tag and of known length."""
        length = self._head(tag)
        if length is None:
            raise ValueError("a value without a length")
        self.position += length
        return self.data[self.position - length : self.position]

    def octets(self) -> bytes:
        """An octet string, in one piece or in many (§8.7.3), as programs that stream write it."""
        if self.data[self.position] != _OCTETS_IN_PIECES:
            return self.take(_OCTETS)
        length = self._head(_OCTETS_IN_PIECES)
        end = len(self.data) if length is None else self.position + length
        pieces: list[bytes] = []
        while self.position < end and len(pieces) < _MAX_PIECES:
            if self.data.startswith(_END_OF_CONTENTS, self.position):
                break
            pieces.append(self.take(_OCTETS))
        return b"".join(pieces)

    def _head(self, tag: int) -> int | None:
        """Read a head and answer the length, None for the indefinite form (§8.1.3.6)."""
        if self.data[self.position] != tag:
            raise ValueError("another tag")
        length = self.data[self.position + 1]
        self.position += 2
        if length == 0x80:
            return None
        if length > 0x80:
            size = length & 0x7F
            if size > 4:
                raise ValueError("a length beyond 4 GB")
            length = int.from_bytes(self.data[self.position : self.position + size], "big")
            self.position += size
        if self.position + length > len(self.data):
            raise ValueError("it ends beyond the end")
        return length
