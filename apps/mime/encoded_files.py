"""Files that stand in a text, encoded by hand: uuencode (POSIX.1 uuencode) and yEnc (yEnc draft 1.3).

Before MIME, and still from scanners, mainframes and Usenet gateways, a file is just lines in the body. A block counts
only when it is whole: a first line, lines that all are what they must be, and an end. Then it becomes a file and leaves
the text; anything less stays text, because a customer who writes "begin 644 a.txt" is writing.
"""

import binascii
import re
from dataclasses import dataclass

MAX_FILES = 100

_BEGIN = re.compile(
    rb"^(?:begin (?P<mode>[0-7]{3,4}) (?P<uu>[^\r\n]{1,255})|=ybegin (?P<y>[^\r\n]{1,400}))\r?$", re.MULTILINE
)
_UU_LINE = re.compile(rb"[\x20-\x60]{1,90}")
_YENC_NAME = re.compile(rb" name=(.+)$")
_YENC_SIZE = re.compile(rb" size=([0-9]{1,12})")
_YENC_SHIFT = bytes((byte - 42) % 256 for byte in range(256))


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A file found in a text; its name is as it was written."""

    filename: bytes
    data: bytes


def take_out_files(text: bytes) -> tuple[bytes, list[EncodedFile]]:
    """(the text without its encoded files, the files). Linear, and never raises."""
    if b"\nbegin " not in text and b"=ybegin " not in text and not text.startswith(b"begin "):
        return text, []
    kept: list[bytes] = []
    files: list[EncodedFile] = []
    position = 0
    last_yend = text.rfind(b"\n=yend")
    for match in _BEGIN.finditer(text):
        if match.start() < position or len(files) >= MAX_FILES:
            continue
        # Without an end ahead there is none to look for: a thousand beginnings would look a thousand times.
        if match["y"] and match.end() > last_yend:
            continue
        found = _read_uu(text, match) if match["uu"] else _read_yenc(text, match)
        if found is None:
            continue
        file, end = found
        files.append(file)
        kept.append(text[position : match.start()])
        position = end
    return b"".join([*kept, text[position:]]), files


def _read_uu(text: bytes, begin: re.Match[bytes]) -> tuple[EncodedFile, int] | None:
    out: list[bytes] = []
    position = begin.end() + 1
    while position < len(text):
        eol = text.find(b"\n", position)
        following = len(text) if eol < 0 else eol + 1
        line = text[position:following].rstrip(b"\r\n")
        position = following
        if line.strip() == b"end":
            return (EncodedFile(begin["uu"].strip(), b"".join(out)), position) if out else None
        if not line.strip():
            continue  # programs strip the blank that says "no more bytes"
        try:
            if not _UU_LINE.fullmatch(line):
                return None
            out.append(binascii.a2b_uu(line))
        except binascii.Error:
            return None
    return None


def _read_yenc(text: bytes, begin: re.Match[bytes]) -> tuple[EncodedFile, int] | None:
    name = _YENC_NAME.search(begin["y"])
    size = _YENC_SIZE.search(begin["y"])
    if name is None or size is None:
        return None  # before its end is looked for, which may be far
    end = text.find(b"\n=yend", begin.end())
    if end < 0:
        return None
    body = text[begin.end() + 1 : end + 1]
    if body.startswith(b"=ypart "):
        body = body.partition(b"\n")[2]
    body = body.replace(b"\r", b"").replace(b"\n", b"")
    # "=" makes the next byte one of the four that may not stand bare.
    pieces = body.split(b"=")
    data = pieces[0] + b"".join(bytes([(piece[0] - 64) % 256]) + piece[1:] for piece in pieces[1:] if piece)
    after = text.find(b"\n", end + 1)
    return EncodedFile(name[1].strip(), data.translate(_YENC_SHIFT)), len(text) if after < 0 else after + 1
