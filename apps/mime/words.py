"""Encoded words in headers (RFC 2047), both ways.

Decoding is tolerant: spaces and question marks within a word, a character split over two words of one
charset, and raw eight-bit bytes beside them all occur. Encoding makes words of at most 75 characters that
never split a character.
"""

import base64
import binascii
import re

from apps.mime.charset import decode_text
from apps.mime.clean import clean_text

# The encoded text is bounded so that a header of openings without ends costs linear time.
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?((?:[^?]|\?(?!=)){0,1000})\?=")
# RFC 2047 §5 (3): what may stand bare in a Q word within a phrase; everything else is escaped.
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_MAX_DECODED_CHARS = 32_768  # a subject of 998 characters, each outside the BMP, encodes to about 15,000
_MAX_WORD_CHARS = 75  # RFC 2047 §2
_OVERHEAD_CHARS = len("=?utf-8?q??=")


def decode_words(value: str) -> str:
    """Decode every encoded word of a header value. Never raises; what cannot be decoded stays as it stands."""
    if "=?" not in value:
        return value
    value, rest = value[:_MAX_DECODED_CHARS], value[_MAX_DECODED_CHARS:]
    out: list[str] = []
    pending: list[bytes] = []  # neighbouring words of one charset, joined before decoding
    pending_charset = ""
    last = 0
    for match in _WORD.finditer(value):
        between = value[last : match.start()]
        charset = match[1].partition("*")[0].lower()  # RFC 2231 §5: a language may follow the charset
        data = _decode_word(match[2], match[3])
        if pending and (between.strip() or charset != pending_charset):
            out.append(decode_text(b"".join(pending), pending_charset)[0])
            pending = []
        # RFC 2047 §6.2: whitespace between two encoded words is not shown.
        if between.strip() or last == 0:
            out.append(between)
        pending.append(data)
        pending_charset = charset
        last = match.end()
    if pending:
        out.append(decode_text(b"".join(pending), pending_charset)[0])
    out += [value[last:], rest]
    return clean_text("".join(out))


def _decode_word(encoding: str, text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape" if _from_bytes(text) else "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(raw, header=True)
    compact = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
    # A last group of one character holds no whole byte.
    compact = compact[:-1] if len(compact) % 4 == 1 else compact
    return binascii.a2b_base64(compact + b"=" * (-len(compact) % 4))


def _from_bytes(text: str) -> bool:
    """True when every surrogate in the text stands for a byte (PEP 383)."""
    return all("\udc80" <= character <= "\udcff" for character in text if "\ud800" <= character <= "\udfff")


def encode_words(text: str) -> list[str]:
    """Encode text as a list of encoded words in UTF-8, to be joined with folding whitespace."""
    data = text.encode()
    as_q = sum(1 if byte in _Q_SAFE or byte == 0x20 else 3 for byte in data)
    quoted = as_q <= len(data) * 4 // 3 + 4
    room = _MAX_WORD_CHARS - _OVERHEAD_CHARS
    words: list[str] = []
    chunk = ""
    for character in text:
        if chunk and len(_encoded(chunk + character, quoted=quoted)) > room:
            words.append(_word(chunk, quoted=quoted))
            chunk = ""
        chunk += character
    if chunk:
        words.append(_word(chunk, quoted=quoted))
    return words


def _word(chunk: str, *, quoted: bool) -> str:
    return f"=?utf-8?{'q' if quoted else 'b'}?{_encoded(chunk, quoted=quoted)}?="


def _encoded(chunk: str, *, quoted: bool) -> str:
    if not quoted:
        return base64.b64encode(chunk.encode()).decode("ascii")
    return "".join(
        "_" if byte == 0x20 else chr(byte) if byte in _Q_SAFE else f"={byte:02X}" for byte in chunk.encode()
    )
