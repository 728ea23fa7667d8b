"""Turn labelled bytes into text when the label may be missing, unknown or a lie.

UTF-8 is tried first wherever the label leaves it possible: valid UTF-8 with a non-ASCII character is
practically never anything else. Labels mean what mail programs mean by them (WHATWG Encoding §4.2), not
what their registration says: `iso-8859-1` is windows-1252, `gb2312` is GB 18030. Where they say nothing, or
what cannot be, the bytes themselves decide (`guessing`).
"""

import codecs
import re
from contextlib import suppress
from functools import lru_cache

from apps.mime.guessing import SINGLE_BYTE, guess

UNKNOWN_CHARSET = "unknown charset"
WRONG_CHARSET = "wrong charset"

_SAMPLE_BYTES = 4096
_MEANT = {
    "646": "cp1252",
    "ansi_x3.4-1968": "cp1252",
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "ks_c_5601-1987": "cp949",
    "ksc5601": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "big5": "cp950",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "unicode-2-0-utf-7": "utf-7",
    "mac-ce": "mac_latin2",
    "mac-centraleurroman": "mac_latin2",
    "mac-icelandic": "mac_iceland",
    "mac-japanese": "cp932",
    "mac-chinesetrad": "cp950",
    "mac-chinesesimp": "gb18030",
    "mac-korean": "cp949",
    "mac-thai": "cp874",
    # its dialects differ in what they add, and programs name one and write another
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-2022-jp-ms": "iso2022_jp_ext",
    "cp50220": "iso2022_jp_ext",
    "cp50221": "iso2022_jp_ext",
    "cp50222": "iso2022_jp_ext",
}
# Quadratic in their input (punycode, idna), or not a character set at all.
_REFUSED = {"punycode", "idna", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"}
# Short texts in these can be valid UTF-8 by accident; in a single-byte charset that does not happen.
_MULTIBYTE = ("gb", "big5", "cp932", "cp949", "cp950", "euc", "shift", "johab", "utf-16", "utf-32")
# About one character in six of the commonest of them, GB 2312, is also valid UTF-8, and so one text of six in 40,000.
_NO_ACCIDENT_BYTES = 12
# Stateful seven-bit charsets: their bytes are ASCII, so trying UTF-8 first would keep the escapes as letters.
_SEVEN_BIT_STATEFUL = ("iso2022", "utf-7", "hz")
_DECLARED = re.compile(
    rb"<meta\s[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE
)
# ISO 2022 by its escapes: two-byte sets, and the way back to ASCII.
_JAPANESE = re.compile(rb"\x1b(?:\$@|\$B)([\x21-\x7e\s]*)(?:\x1b\([BJ])?")


def declared_charset(html: bytes) -> str:
    """What a web page says itself that it is in (HTML §4.2.5.4), "" where it says nothing near its beginning."""
    match = _DECLARED.search(html, 0, _SAMPLE_BYTES)
    return match[1].decode() if match else ""


@lru_cache(maxsize=256)
def known_charset(label: str) -> str | None:
    """The Python codec that a charset label means, or None when there is none we would use."""
    name = re.sub(r"[^a-z0-9._-]", "", label[:64].lower().partition("*")[0])
    name = _MEANT.get(name) or _MEANT.get(name.removeprefix("x-")) or _plain(name)
    if not name or name.replace("_", "-") in _REFUSED:
        return None
    try:
        codec = codecs.lookup(name).name
        # `hex`, `zlib` and their like are codecs too; bytes.decode refuses all that are no text encodings.
        b"x".decode(codec, "replace")
    except (LookupError, ValueError):
        return None
    return None if codec.replace("_", "-") in _REFUSED else codec


def _plain(name: str) -> str:
    """A private name (`x-euc-jp`, `x-mac-greek`) without what makes it private, unless it is known with it."""
    bare = name.removeprefix("x-")
    try:
        codecs.lookup(name)
    except (LookupError, ValueError):
        return bare.replace("mac-", "mac_") if bare.startswith("mac-") else bare
    return name


def decode_text(data: bytes, label: str = "") -> tuple[str, str]:
    """Decode bytes to text by label, and say what was wrong: (text, defect), the defect "" when all was well.

    Never raises; bytes that fit nothing become U+FFFD. Lone surrogates may remain (UTF-7 can encode them):
    pass the result through `clean_text`.
    """
    codec = known_charset(label) if label else None
    if b"\x1b$" in data and data.isascii() and not (codec or "").startswith(_SEVEN_BIT_STATEFUL):
        codec = "iso2022_jp_ext"  # whatever the label says: no other text has these escapes
    if codec and codec.startswith(_SEVEN_BIT_STATEFUL):
        return _decode_stateful(data, codec)
    if data.isascii() and (codec is None or not codec.startswith("utf-")):
        # ASCII bytes read the same in every other charset that mail uses.
        return data.decode("ascii"), UNKNOWN_CHARSET if label and codec is None else ""
    if codec is None or not codec.startswith(_MULTIBYTE) or _is_hardly(codec, data):
        try:
            return data.decode("utf-8-sig"), _defect_of_utf8(label, codec)
        except UnicodeDecodeError:
            if codec == "utf-8" and _mostly_utf8(data):
                return data.decode("utf-8-sig", "replace"), WRONG_CHARSET
    if codec not in {None, "utf-8"}:
        return _decode_by_label(data, label, codec or "cp1252")
    defect = WRONG_CHARSET if codec else UNKNOWN_CHARSET
    return data.decode(guess(data), "replace"), defect


def _is_hardly(codec: str, data: bytes) -> bool:
    """Whether bytes, should they be valid UTF-8, are hardly of this multibyte charset."""
    if codec.startswith(("utf-16", "utf-32")):
        return b"\0" not in data  # every blank and line end in them has one
    return len(data) - len(data.decode("ascii", "ignore")) >= _NO_ACCIDENT_BYTES


def _defect_of_utf8(label: str, codec: str | None) -> str:
    """What was wrong with a label when the bytes turned out to be UTF-8. Latin-1 is what programs say for "any"."""
    if codec is None:
        return UNKNOWN_CHARSET if label else ""
    return "" if codec in {"utf-8", "cp1252"} else WRONG_CHARSET


def _decode_stateful(data: bytes, codec: str) -> tuple[str, str]:
    try:
        return data.decode(codec), ""
    except (UnicodeDecodeError, ValueError):
        if codec.startswith("iso2022_jp") and (data.isascii() or b"\x1b$" in data):
            return _decode_japanese(data), ""
        if data.isascii():
            return data.decode(codec, "replace"), WRONG_CHARSET
        # A Japanese label in front of eight bits is for one of these; in this order each refuses the others' bytes.
        for other in ("utf-8", "euc_jp", "cp932") if codec.startswith("iso2022_jp") else ():
            with suppress(UnicodeDecodeError):
                return data.decode(other), WRONG_CHARSET
        return decode_text(data)[0], WRONG_CHARSET


def _decode_japanese(data: bytes) -> str:
    """ISO-2022-JP with characters that the standard has not and everybody uses (①, ㈱, 髙): NEC's and IBM's rows of
    JIS X 0208, which Python knows in Shift_JIS only.
    """
    pieces: list[str] = []
    position = 0
    for match in _JAPANESE.finditer(data):
        pieces.append(data[position : match.start()].decode("iso2022_jp_ext", "replace"))
        pieces += [_shift_jis(word).decode("cp932", "replace") for word in re.split(rb"(\s+)", match[1])]
        position = match.end()
    pieces.append(data[position:].decode("iso2022_jp_ext", "replace"))
    return "".join(pieces)


def _shift_jis(pairs: bytes) -> bytes:
    """JIS X 0208 in seven bits as Shift_JIS (JIS X 0208:1997, annex 1); white space as it is."""
    if not pairs.strip():
        return pairs
    out = bytearray()
    for first, second in zip(pairs[::2], pairs[1::2], strict=False):
        row = (first + 1) // 2 + (0x70 if first <= 0x5E else 0xB0)
        cell = second + (0x1F + (second >= 0x60) if first % 2 else 0x7E)
        out += bytes((row, cell))
    return bytes(out)


def _decode_by_label(data: bytes, label: str, codec: str) -> tuple[str, str]:
    if codec in SINGLE_BYTE:
        # Any bytes can be read by these, so no error tells a wrong one; and Latin-1 is what programs say for “any”.
        likeliest = guess(data, told="" if "ascii" in label.lower() else codec)
        return data.decode(likeliest, "replace"), "" if likeliest == codec else WRONG_CHARSET
    try:
        return data.decode(codec), ""
    except UnicodeDecodeError as error:
        reached = error.start
    try:
        return data.decode("utf-8-sig"), WRONG_CHARSET
    except UnicodeDecodeError:
        # The last bytes alone may be damaged (a mail cut in transit): then the label was right after all.
        good_enough = reached > len(data) * 0.9
        return data.decode(codec if good_enough else guess(data), "replace"), WRONG_CHARSET


def _mostly_utf8(data: bytes) -> bool:
    """True when the broken sequences are few: a mail cut in the middle of a character, not another charset."""
    sample = data[: _SAMPLE_BYTES * 16]
    high_bytes = len(sample) - len(sample.decode("ascii", "ignore"))
    broken = sample.decode("utf-8", "replace").count("\ufffd")
    return broken * 10 <= high_bytes
