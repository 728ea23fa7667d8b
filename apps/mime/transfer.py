"""Undo content transfer encodings (RFC 2045 §6), damaged ones included. Never raises and never drops a
readable byte.
"""

import binascii
import re

DAMAGED_BASE64 = "damaged base64"
DAMAGED_UUENCODE = "damaged uuencode"
UNKNOWN_ENCODING = "unknown transfer encoding"

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_BASE64_AND_BLANKS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/ \t\r\n"
_IDENTITY = {"", "7bit", "8bit", "binary"}


def decode_transfer(data: bytes, encoding: str) -> tuple[bytes, str]:
    """Decode a body: (bytes, defect), the defect "" when all was well."""
    name = encoding.partition(";")[0].strip().strip("\"'").lower()
    if name in _IDENTITY:
        return data, ""
    if name == "quoted-printable":
        return binascii.a2b_qp(data), ""
    if name == "base64":
        return _decode_base64(data)
    if name in {"x-uuencode", "uuencode", "x-uue", "uue"}:
        return _decode_uuencode(data)
    return data, UNKNOWN_ENCODING


def _decode_clean_base64(data: bytes) -> bytes | None:
    """Base64 that is as it should be, decoded without a copy of it; None for any other."""
    others = data.translate(None, _BASE64_AND_BLANKS)
    if others not in {b"", b"=", b"=="} or not data[-80:].rstrip().endswith(others):
        return None
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        return None  # its padding is missing


def _decode_base64(data: bytes) -> tuple[bytes, str]:
    if (whole := _decode_clean_base64(data)) is not None:
        return whole, ""
    pad = data.find(b"=")
    encoded, rest = (data, b"") if pad < 0 else (data[:pad], data[pad:].lstrip(b"= \t\r\n"))
    compact = _NOT_BASE64.sub(b"", encoded)
    defect = DAMAGED_BASE64 if len(compact) % 4 == 1 else ""
    compact = compact[:-1] if defect else compact
    decoded = binascii.a2b_base64(compact + b"=" * (-len(compact) % 4))
    if not rest:
        return decoded, defect
    # After the padding comes either a second base64 text, or a footer that a mailing list added in plain text.
    if b" " in rest.strip() or not re.fullmatch(rb"[A-Za-z0-9+/=\s]*", rest):
        return decoded + b"\n" + rest, DAMAGED_BASE64
    compact = _NOT_BASE64.sub(b"", rest).replace(b"=", b"")
    compact = compact[: len(compact) - (len(compact) % 4 == 1)]
    return decoded + binascii.a2b_base64(compact + b"=" * (-len(compact) % 4)), DAMAGED_BASE64


def _decode_uuencode(data: bytes) -> tuple[bytes, str]:
    begin = re.search(rb"^begin [0-7]{3,4} .*$", data, re.MULTILINE)
    if begin is None:
        return data, DAMAGED_UUENCODE
    out: list[bytes] = []
    for line in data[begin.end() :].splitlines():
        if line.strip() == b"end":
            break
        if not line:  # binascii reads an empty line as 32 zero bytes
            continue
        try:
            out.append(binascii.a2b_uu(line))
        except binascii.Error:
            return data, DAMAGED_UUENCODE
    return b"".join(out), ""
