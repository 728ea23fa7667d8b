"""Read the rich text in a winmail.dat: unpack it (MS-OXRTFCP), and get back the HTML it was made from (MS-OXRTFEX), or
else its text.

Exchange keeps an HTML body as RTF in which every tag is a hidden group, so what comes out is nearly always the very
HTML. Bounded and linear; damaged input gives what can be read of it.

Limits: characters are read in the code page of the whole document, not in that of their font.
"""

import re
import struct

from apps.mime.charset import decode_text
from apps.mime.clean import clean_text

MAX_RTF_BYTES = 2_000_000

_HEAD = struct.Struct("<IIII")
_COMPRESSED, _UNCOMPRESSED = 0x75465A4C, 0x414C454D
# MS-OXRTFCP §2.1.3.1.2: what the dictionary begins with.
_PRIMER = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    + b"\r\n"
    + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_DICTIONARY_BYTES = 4096

_TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?[0-9]{1,10})? ?|\\'(?P<hex>[0-9a-fA-F]{2})|\\(?P<symbol>[^a-zA-Z'])|"
    rb"(?P<brace>[{}])|[\r\n]+|(?P<text>[^\\{}\r\n]+)|\\",
    re.DOTALL,
)
_CODEPAGE = re.compile(rb"\\ansicpg([0-9]{1,5})")
_SYMBOLS = {b"~": "\xa0", b"_": "\u2011", b"-": "", b"\n": "\n", b"\r": "\n"}
_WORDS = {
    b"par": "\n", b"line": "\n", b"sect": "\n", b"page": "\n", b"row": "\n", b"tab": "\t", b"cell": "\t",
    b"lquote": "‘", b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”", b"bullet": "•", b"endash": "–",
    b"emdash": "—", b"emspace": "\u2003", b"enspace": "\u2002",
}  # fmt: skip
# Destinations that hold no text of the writer's.
_SILENT = frozenset(
    {b"fonttbl", b"colortbl", b"stylesheet", b"info", b"pict", b"object", b"listtable", b"listoverridetable", b"header",
     b"footer", b"headerl", b"headerr", b"footerl", b"footerr", b"fldinst", b"themedata", b"datastore", b"mhtmltag"}
)  # fmt: skip


def decompress_rtf(data: bytes) -> bytes:
    """Unpack PR_RTF_COMPRESSED (MS-OXRTFCP §2.2), up to `MAX_RTF_BYTES`; b"" for what it is not."""
    if len(data) < _HEAD.size:
        return b""
    _packed, size, kind, _checksum = _HEAD.unpack_from(data)
    if kind == _UNCOMPRESSED:
        return data[_HEAD.size : _HEAD.size + min(size, MAX_RTF_BYTES)]
    if kind != _COMPRESSED:
        return b""
    # One growing buffer is dictionary and output: a place in the ring is a distance back from its end.
    out = bytearray(_PRIMER)
    bound = len(_PRIMER) + min(size, MAX_RTF_BYTES)
    position = _HEAD.size
    while position < len(data) and len(out) < bound:
        control = data[position]
        position += 1
        for bit in range(8):
            if not control >> bit & 1:
                out += data[position : position + 1]
                position += 1
                continue
            reference = int.from_bytes(data[position : position + 2], "big")
            position += 2
            distance = (len(out) - (reference >> 4)) % _DICTIONARY_BYTES
            # §2.2.2.4: a reference to the write position itself is the end.
            if not distance or distance > len(out) or position > len(data):
                return bytes(out[len(_PRIMER) : bound])
            for _byte in range((reference & 15) + 2):
                out.append(out[-distance])
    return bytes(out[len(_PRIMER) : bound])


def read_rtf(rtf: bytes) -> tuple[str, str]:
    """(text, HTML) of an RTF document; one of them is "". Never raises."""
    codepage = _CODEPAGE.search(rtf, 0, 4096)
    charset = f"cp{codepage[1].decode()}" if codepage else ""
    # MS-OXRTFEX §2.1.3.1: the mark stands at the beginning.
    from_html = b"\\fromhtml1" in rtf[:4096]
    read = _Reader(charset, from_html=from_html).read(rtf)
    return ("", read) if from_html else (read.strip("\n"), "")


class _Reader:
    def __init__(self, charset: str, *, from_html: bool) -> None:
        self.charset = charset
        self.from_html = from_html
        self.out: list[str] = []
        self.bytes = bytearray()  # of the document's code page, not decoded yet
        self.silent = False
        self.skip_after_unicode = 1
        self.to_skip = 0
        self.is_tag = False
        self.optional = False  # the next word names a destination that may be left out
        self.groups: list[tuple[bool, int, bool]] = []

    def read(self, rtf: bytes) -> str:
        position = 0
        while (match := _TOKEN.match(rtf, position)) is not None:
            position = match.end()
            if match["word"]:
                number = int(match["number"]) if match["number"] else None
                if match["word"] == b"bin":
                    position += min(max(number or 0, 0), len(rtf))
                else:
                    self._word(match["word"].lower(), number)
            elif match["brace"]:
                self._brace(opens=match["brace"] == b"{")
            elif match["symbol"] == b"*":
                self.optional = True
            elif match["symbol"]:
                symbol = match["symbol"]
                self._write(_SYMBOLS[symbol] if symbol in _SYMBOLS else symbol.decode("latin-1"))
            elif match["hex"]:
                self._write_bytes(bytes.fromhex(match["hex"].decode()))
            elif match["text"]:
                self._write_bytes(match["text"])
        self._flush()
        joined = "".join(self.out).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return clean_text(joined)

    def _brace(self, *, opens: bool) -> None:
        self.to_skip = 0
        if opens:
            self.groups.append((self.silent, self.skip_after_unicode, self.is_tag))
        elif self.groups:
            self.silent, self.skip_after_unicode, self.is_tag = self.groups.pop()

    def _word(self, word: bytes, number: int | None) -> None:
        optional, self.optional = self.optional, False
        if word == b"htmltag" and optional:
            # MS-OXRTFEX §2.1.3.1.1: a piece of the HTML. In a text of its own it would be markup.
            self.is_tag, self.silent = True, not self.from_html
        elif word == b"htmlrtf":
            # §2.1.3.1.4: what stands for RTF readers only.
            self.silent = self.from_html and number != 0
        elif word in _SILENT or (optional and not self.is_tag):
            self.silent = True
        elif word == b"u" and number is not None:
            self._write(chr(number & 0xFFFF))
            self.to_skip = self.skip_after_unicode
        elif word == b"uc":
            self.skip_after_unicode = min(max(number or 0, 0), 8)
        elif word in _WORDS:
            self._write(_WORDS[word])

    def _write(self, text: str) -> None:
        if not self.silent:
            self._flush()
            self.out.append(text)

    def _write_bytes(self, data: bytes) -> None:
        skipped = min(self.to_skip, len(data))
        self.to_skip -= skipped
        if not self.silent:
            self.bytes += data[skipped:]

    def _flush(self) -> None:
        if self.bytes:
            self.out.append(decode_text(bytes(self.bytes), self.charset)[0])
            self.bytes.clear()
