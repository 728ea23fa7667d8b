"""Read Microsoft's compound files ([MS-CFB]): old Office documents, the macros in new ones, installers.

Just what looking inside needs: the directory, and each stream's bytes. Bounded by the file's own size: a chain that
comes back to itself ends, and one that leads out of the file ends too. Never raises.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_FREE = 0xFFFFFFFA  # and above: no sector's number
_MAX_ENTRIES = 10_000
_STREAM, _ROOT = 2, 5


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    kind: int
    clsid: bytes
    start: int
    size: int


class CompoundFile:
    """A compound file taken apart. What is damaged reads as empty."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        head = data[:512].ljust(512, b"\0")
        self._shift = min(max(int.from_bytes(head[30:32], "little"), 7), 16)
        self._mini_cutoff = int.from_bytes(head[56:60], "little") or 4096
        self._fat = self._read_fat(head)
        self._mini_fat = _numbers(self._chain(int.from_bytes(head[60:64], "little")))
        self._entries = list(self._read_directory(int.from_bytes(head[48:52], "little")))
        roots = [entry for entry in self._entries if entry.kind == _ROOT]
        self._mini = self._chain(roots[0].start) if roots else b""
        self.root_clsid = roots[0].clsid if roots else b""

    def streams(self) -> Iterator[tuple[str, bytes]]:
        """Each stream's own name (not its path) and bytes."""
        for entry in self._entries:
            if entry.kind == _STREAM:
                yield entry.name, self._read(entry)

    @property
    def names(self) -> set[str]:
        """The names of all streams and storages."""
        return {entry.name for entry in self._entries}

    def _read(self, entry: _Entry) -> bytes:
        if entry.size >= self._mini_cutoff:
            return self._chain(entry.start, entry.size)
        pieces: list[bytes] = []
        seen, sector = set[int](), entry.start
        while sector < len(self._mini_fat) and sector not in seen and len(pieces) * 64 < entry.size:
            seen.add(sector)
            pieces.append(self._mini[sector * 64 : sector * 64 + 64])
            sector = self._mini_fat[sector]
        return b"".join(pieces)[: entry.size]

    def _sector(self, number: int) -> bytes:
        at = (number + 1) << self._shift
        return self._data[at : at + (1 << self._shift)]

    def _read_fat(self, head: bytes) -> tuple[int, ...]:
        """[MS-CFB] 2.5: the sectors that hold the FAT are listed in the header, then in a chain of their own."""
        holders = [number for number in struct.unpack("<109I", head[76:512]) if number < _FREE]
        seen, sector = set[int](), int.from_bytes(head[68:72], "little")
        while sector < _FREE and sector not in seen and (listed := _numbers(self._sector(sector))):
            seen.add(sector)
            holders += [number for number in listed[:-1] if number < _FREE]
            sector = listed[-1]
        return _numbers(b"".join(self._sector(number) for number in dict.fromkeys(holders)))

    def _chain(self, sector: int, size: int | None = None) -> bytes:
        pieces: list[bytes] = []
        seen, length = set[int](), 0
        while sector < len(self._fat) and sector not in seen and (size is None or length < size):
            seen.add(sector)
            pieces.append(self._sector(sector))
            length += len(pieces[-1])
            sector = self._fat[sector]
        return b"".join(pieces)[:size]

    def _read_directory(self, sector: int) -> Iterator[_Entry]:
        directory = self._chain(sector)
        for at in range(0, min(len(directory), _MAX_ENTRIES * 128) - 127, 128):
            raw = directory[at : at + 128]
            length = min(int.from_bytes(raw[64:66], "little"), 64)
            name = raw[: max(0, length - 2)].decode("utf-16-le", "replace")
            start, size = struct.unpack("<IQ", raw[116:128])
            # [MS-CFB] 2.6.1: files of 512-byte sectors leave rubbish in the upper half of a size.
            yield _Entry(name, raw[66], raw[80:96], start, size & 0xFFFFFFFF)


def _numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])
