"""Open archives, within a budget: zip, gzip, bzip2, xz and tar, and tell those nobody here can open.

An archive's members are what matters, whatever its headers claim: sizes are counted as bytes come out, a checksum that
does not fit hides nothing (other programs open such files), and what stands before a zip's first member is looked
at too, because some programs read the first of two zips and some the last.

Limits: members compressed by other methods than deflate, bzip2 and LZMA, encrypted ones, and whole formats (7z, RAR,
cabinet, ACE, zstd) are named as what cannot be opened; the organisation's policy decides.
"""

import io
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from apps.screening.budget import Budget, TooMuch
from apps.screening.unpack import (
    Damaged,
    unpack_bzip2,
    unpack_deflate,
    unpack_gzip,
    unpack_xz,
    unpack_zip_lzma,
)

_CENTRAL_ENTRY = b"PK\x01\x02"
_LOCAL_HEADER = b"PK\x03\x04"
_MAX_CENTRAL_ENTRIES = 40_000


class Format(StrEnum):
    ZIP = "zip"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    TAR = "tar"
    CLOSED = "closed"


# What we recognise and cannot open.
_CLOSED_MAGIC = (
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"MSCF\0\0\0\0",
    b"\x28\xb5\x2f\xfd",  # zstd
    b"\x60\xea",  # ARJ
    b"LZIP",
    b"xar!",
)


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive. `data` is None where it cannot be read, and `problem` says why."""

    name: str
    data: bytes | None
    problem: str = ""


_MAGIC: tuple[tuple[int, bytes, Format], ...] = (
    (0, _LOCAL_HEADER, Format.ZIP),
    (0, b"PK\x05\x06", Format.ZIP),
    (0, b"PK00PK\x03\x04", Format.ZIP),
    (0, b"\x1f\x8b\x08", Format.GZIP),
    (0, b"\xfd7zXZ\0", Format.XZ),
    (257, b"ustar", Format.TAR),
    (7, b"**ACE**", Format.CLOSED),
    *((0, magic, Format.CLOSED) for magic in _CLOSED_MAGIC),
)


def recognise(data: bytes) -> Format | None:
    """The archive format of some bytes by their magic."""
    if data[:3] == b"BZh" and data[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return Format.BZIP2
    found = next((kind for at, magic, kind in _MAGIC if data.startswith(magic, at)), None)
    return None if found == Format.CLOSED and not _is_really_closed(data) else found


def _is_really_closed(data: bytes) -> bool:
    """ARJ's two bytes stand at the beginning of many things; its header's size follows and is small."""
    return data[:2] != b"\x60\xea" or 0 < int.from_bytes(data[2:4], "little") <= 2600


def members(kind: Format, data: bytes, name: str, budget: Budget) -> Iterator[Member]:
    """What an archive holds, one after the other. Raises TooMuch and OutOfTime, and nothing else."""
    match kind:
        case Format.ZIP:
            yield from _zip_members(data, budget)
        case Format.TAR:
            yield from _tar_members(data, budget)
        case Format.CLOSED:
            yield Member("", None, "unopenable")
        case _:
            budget.take_member()
            yield _single_member(kind, data, name, budget)


# zip


def _zip_members(data: bytes, budget: Budget) -> Iterator[Member]:
    if data.count(_CENTRAL_ENTRY) > _MAX_CENTRAL_ENTRIES:
        raise TooMuch("archive_too_many_files")  # before zipfile makes an object of each
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OverflowError, EOFError, NotImplementedError, UnicodeDecodeError):
        yield Member("", None, "unopenable")
        return
    first = min((entry.header_offset for entry in entries), default=0)
    if first > 0 and _LOCAL_HEADER in data[:first]:
        budget.take_member()
        yield Member("", data[:first])
    for entry in entries:
        budget.take_member()
        if not entry.is_dir() or entry.compress_size:
            yield _zip_member(data, entry, budget)


def _zip_member(data: bytes, entry: zipfile.ZipInfo, budget: Budget) -> Member:
    if entry.flag_bits & 0x1:
        return Member(entry.filename, None, "encrypted")
    head = entry.header_offset
    if data[head : head + 4] != _LOCAL_HEADER:
        return Member(entry.filename, None, "unopenable")
    start = head + 30 + int.from_bytes(data[head + 26 : head + 28], "little")
    start += int.from_bytes(data[head + 28 : head + 30], "little")
    packed = memoryview(data)[start : start + entry.compress_size]
    unpack = _ZIP_METHODS.get(entry.compress_type)
    try:
        return Member(
            entry.filename, unpack(packed, budget) if unpack else None, "" if unpack else "unopenable"
        )
    except Damaged:
        return Member(entry.filename, None, "unopenable")


def _stored(packed: memoryview, budget: Budget) -> bytes:
    budget.take_bytes(len(packed))
    return bytes(packed)


_ZIP_METHODS = {
    zipfile.ZIP_STORED: _stored,
    zipfile.ZIP_DEFLATED: unpack_deflate,
    zipfile.ZIP_BZIP2: unpack_bzip2,
    zipfile.ZIP_LZMA: unpack_zip_lzma,
}


# one file, compressed


_SINGLE = {Format.GZIP: unpack_gzip, Format.BZIP2: unpack_bzip2, Format.XZ: unpack_xz}


def _single_member(kind: Format, data: bytes, name: str, budget: Budget) -> Member:
    inner = _inner_name(name)
    try:
        return Member(inner, _SINGLE[kind](memoryview(data), budget))
    except Damaged:
        return Member(inner, None, "unopenable")


def _inner_name(name: str) -> str:
    """What `report.csv.gz` unpacks to."""
    stem, dot, extension = name.rpartition(".")
    if not dot:
        return name
    return f"{stem}.tar" if extension.lower() in {"tgz", "tbz", "tbz2", "txz"} else stem


# tar


def _tar_members(data: bytes, budget: Budget) -> Iterator[Member]:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for entry in archive:
                budget.take_member()
                if not entry.isreg():
                    continue
                # A sparse file's size is a claim that costs nothing to make.
                budget.take_bytes(entry.size)
                opened = archive.extractfile(entry)
                yield Member(entry.name, opened.read(entry.size) if opened else None)
    except (tarfile.TarError, ValueError, OverflowError, EOFError, KeyError, IndexError, OSError):
        yield Member("", None, "unopenable")
