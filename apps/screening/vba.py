"""Read macros: the compressed source of a VBA project ([MS-OVBA]), and which procedures run by themselves.

A module's stream holds compiled code, then the source in a compressed container. Where the container begins is
written in another stream, which a forger may damage; but every source begins with "Attribute", whose first eight
letters stand uncompressed behind the container's head, so it is found without.
"""

import re
from collections.abc import Iterator

MAX_SOURCE_BYTES = 4 * 1024 * 1024

# [MS-OVBA] 2.4.1.1: signature 01, a chunk's head (size, and the bits 1011), flags 00 for eight literals.
_CONTAINER = re.compile(rb"\x01[\x00-\xff][\xb0-\xbf]\x00Attribut")

# Procedures that Word, Excel, PowerPoint, Visio, Access and Project call when a document is opened, shown, left or
# closed, or an object in it is painted, without anyone asking for it.
_BY_THEMSELVES = (
    "auto_?open|auto_?exec|auto_?exit|auto_?close|auto_?new|auto_?activate|auto_?deactivate|autoopen|documentopen"
    "|document_(?:open|close|new|beforeclose|contentcontrolonenter|documentopened|opened)|newdocument|documentbeforeclose"
    "|workbook_(?:open|activate|close|beforeclose|deactivate|windowactivate|sheetactivate)|worksheet_(?:activate|calculate)"
    "|onload|app_(?:documentopen|workbookopen|presentationopen)"
    r"|(?!userform)\w{1,60}_(?:painted|painting|layout|onconnecting|onconnected|onconfirmuac|navigatecomplete2)"
)
_PROCEDURE = re.compile(
    rf"^[ \t]*(?:(?:public|private|friend|static)[ \t]+)*(?:sub|function)[ \t]+({_BY_THEMSELVES})\b".encode(),
    re.IGNORECASE | re.MULTILINE,
)
_NAME = re.compile(
    rb"(?<![A-Za-z_])(?:auto_?open|auto_?exec|document_open|workbook_open)(?![A-Za-z_])", re.IGNORECASE
)
_CONTINUED = re.compile(rb"[ \t]_\r?\n")


def sources(stream: bytes) -> Iterator[bytes]:
    """Every macro source in a stream, decompressed."""
    for found in _CONTAINER.finditer(stream):
        yield decompress(stream, found.start())


def runs_by_itself(source: bytes) -> str:
    """The name of a procedure in a source that runs without being asked for, or ""."""
    found = _PROCEDURE.search(_CONTINUED.sub(b" ", source))
    return found[1].decode("ascii", "replace") if found else ""


def named_in(stream: bytes) -> str:
    """The name of such a procedure among the identifiers that compiled code refers to, or ""."""
    found = _NAME.search(stream)
    return found[0].decode("ascii") if found else ""


def decompress(data: bytes, at: int) -> bytes:
    """[MS-OVBA] 2.4.1: the container that begins at `at`. Stops, with what it has, at damage and at a bound."""
    out = bytearray()
    at += 1
    while at + 2 <= len(data) and len(out) < MAX_SOURCE_BYTES:
        head = int.from_bytes(data[at : at + 2], "little")
        if head & 0x7000 != 0x3000:
            break
        end = min(at + (head & 0x0FFF) + 3, len(data))
        if head & 0x8000:
            _decompress_chunk(data[at + 2 : end], out)
        else:
            out += data[at + 2 : end]
        at = end
    return bytes(out)


def _decompress_chunk(chunk: bytes, out: bytearray) -> None:
    """[MS-OVBA] 2.4.1.3.5: groups of eight tokens, each a byte or a copy of what was written before."""
    begin, at = len(out), 0
    while at < len(chunk):
        flags = chunk[at]
        at += 1
        for bit in range(8):
            if at >= len(chunk):
                return
            if not flags >> bit & 1:
                out.append(chunk[at])
                at += 1
                continue
            written = len(out) - begin
            if at + 2 > len(chunk) or not written:
                return
            token = int.from_bytes(chunk[at : at + 2], "little")
            at += 2
            # 2.4.1.3.19.1: the more was written, the more bits an offset needs, and the fewer a length has.
            offset_bits = max((written - 1).bit_length(), 4)
            length = (token & (0xFFFF >> offset_bits)) + 3
            offset = (token >> (16 - offset_bits)) + 1
            if offset > written or written + length > 4096 + 3:
                return
            for _ in range(length):
                out.append(out[-offset])
