"""What an Office document does by itself: macros that run on open, old Excel macros, programs laid into it.

    old documents     a compound file: VBA modules in its streams, Excel 4.0 macros in `Workbook`, files in
                      `Ole10Native`
    new documents     a zip; its vbaProject.bin is a compound file, its macro sheets are named in workbook.xml
    installers        compound files too, told by their class

A macro that waits for a click is let through: people do send each other calculations.

Limits: a document encrypted with Excel's well-known default password counts as encrypted, not as what it holds;
compiled VBA code is not read, only compared by names with its source.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from apps.screening import vba
from apps.screening.compound import CompoundFile

# {000C1084-…-46} an installer, 1086 its patch, 1082 its transform.
_INSTALLERS = frozenset(
    bytes([low, 0x10, 0x0C, 0]) + bytes(4) + b"\xc0" + bytes(6) + b"\x46" for low in (0x84, 0x86, 0x82)
)
_AUTO_NAME = re.compile(
    rb"""<definedName[^>]{0,400}name=["'](?:_xlnm\.)?auto_?(?:open|close|activate|deactivate)""",
    re.IGNORECASE,
)
_AUTO_NAMES_UTF16 = tuple(
    name.encode("utf-16-le") for name in ("Auto_Open", "AUTO_OPEN", "auto_open", "Auto_Close", "auto_close")
)
# A record's head (version 0, instance 1: compressed; type 0x1011; size), the size unpacked, then zlib's first byte.
_PRESENTATION_OBJECT = re.compile(rb"\x10\x00\x11\x10(....)....(?=\x78)", re.DOTALL)
_BUILT_IN_AUTO = frozenset(
    {0x01, 0x02, 0x0A, 0x0B}
)  # [MS-XLS] 2.5.114: Auto_Open, Close, Activate, Deactivate


@dataclass(frozen=True, slots=True)
class Trait:
    """Something about a document: a finding's code and the word that shows it."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A file laid into a document, with the name it would be written under. `is_packed`: still in zlib's format."""

    name: str
    data: bytes
    is_packed: bool = False


def examine_compound(data: bytes) -> Iterator[Trait | Embedded]:
    """What a compound file is and does. Never raises."""
    compound = CompoundFile(data)
    if compound.root_clsid in _INSTALLERS:
        yield Trait("installer")
    if {"EncryptedPackage", "EncryptionInfo"} <= compound.names:
        yield Trait("document_encrypted")
    sources: list[bytes] = []
    project = b""
    for name, stream in compound.streams():
        sources += vba.sources(stream)
        if name == "_VBA_PROJECT":
            project += stream
        if name in {"Workbook", "Book"}:
            yield from _examine_workbook(stream)
        if name == "PowerPoint Document":
            yield from _presentation_objects(stream)
        if name.endswith("Ole10Native"):
            yield _read_package(stream)
    yield from _examine_macros(sources, project)


def _examine_macros(sources: list[bytes], project: bytes) -> Iterator[Trait]:
    for source in sources:
        if procedure := vba.runs_by_itself(source):
            yield Trait("macro_on_open", procedure)
            return
    # "VBA stomping": the source is replaced by something harmless, and the compiled code beneath it stays.
    named = vba.named_in(project)
    if named and not any(named.lower().encode() in source.lower() for source in sources):
        yield Trait("macro_hidden", named)


def examine_workbook_parts(names: set[str], workbook: bytes) -> Iterator[Trait]:
    """Excel 4.0 macros of a new workbook: macro sheets among its parts, and a defined name that starts them."""
    if not any(name.lower().startswith("xl/macrosheets/") for name in names):
        return
    if _AUTO_NAME.search(workbook) or any(name in workbook for name in _AUTO_NAMES_UTF16):
        yield Trait("macro_on_open", "Auto_Open")


def _examine_workbook(stream: bytes) -> Iterator[Trait]:
    """[MS-XLS]: a macro sheet (BoundSheet8) and a name that starts it (Lbl), or encryption (FilePass)."""
    has_macro_sheet, starts = False, ""
    for kind, record in _records(stream):
        if kind == 0x2F:
            yield Trait("document_encrypted")
            return
        if kind == 0x85 and record[5:6] == b"\x01":
            has_macro_sheet = True
        if kind == 0x18:
            # Since Excel 97 a byte stands before the name and says how wide its letters are.
            starts = starts or _auto_name(record) or _auto_name(record[:14] + b"\0" + record[14:])
    if has_macro_sheet and starts:
        yield Trait("macro_on_open", starts)


def _records(stream: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, at)
        yield kind, stream[at + 4 : at + 4 + size]
        at += 4 + size


def _auto_name(record: bytes) -> str:
    """[MS-XLS] 2.4.150: flags, key, the name's length, …, then the name: one byte if built in, else its letters."""
    if len(record) < 16:
        return ""
    is_built_in, name = bool(record[0] & 0x20), record[15:]
    if is_built_in:
        return "Auto_Open" if name[0] in _BUILT_IN_AUTO else ""
    length = record[3]
    letters = name[: 2 * length : 2] if record[14] & 1 else name[:length]
    return "Auto_Open" if letters.lower().startswith((b"auto_open", b"auto_close", b"auto_activate")) else ""


def _presentation_objects(stream: bytes) -> Iterator[Embedded]:
    """[MS-PPT] 2.10.34: a presentation keeps its embedded objects, and its macros, as compressed compound files."""
    for found in _PRESENTATION_OBJECT.finditer(stream):
        size = int.from_bytes(found[1], "little")
        yield Embedded("", stream[found.end() : found.end() + size - 4], is_packed=True)


def _read_package(stream: bytes) -> Embedded:
    """An OLE package ([MS-OLEDS] 2.3.6, and by practice): size, flags, label, path, …, temporary path, data.

    One that only leads to a file has no data, and its label tells which.
    """
    label = ""
    try:
        label_end = stream.index(b"\0", 6)
        label = stream[6:label_end].decode("latin-1")
        path_end = stream.index(b"\0", label_end + 1)
        (length,) = struct.unpack_from("<I", stream, path_end + 5)
        at = path_end + 9 + length
        (size,) = struct.unpack_from("<I", stream, at)
    except (ValueError, struct.error):
        return Embedded(label, stream[4:])
    return Embedded(label, stream[at + 4 : at + 4 + size])
