"""Decompress, counting what comes out as it comes (`budget`).

What a damaged end leaves is kept: other programs unpack as far as they can, so that much is looked at. Damaged is
raised when not a byte came out. LZMA is given a bound for its own memory; a file that needs more is as good as damaged.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable

from apps.screening.budget import Budget, check_ratio

WINDOW_BYTES = 1024 * 1024
LZMA_MEMORY_BYTES = 128 * 1024 * 1024

_RAW_DEFLATE, _ZLIB, _GZIP = -15, 15, 31  # zlib's "window bits"


class Damaged(Exception):
    """Nothing could be unpacked."""


class _Output:
    """What came out so far, counted."""

    def __init__(self, packed: memoryview, budget: Budget) -> None:
        self._packed = len(packed)
        self._budget = budget
        self.data = bytearray()

    def add(self, piece: bytes) -> None:
        self._budget.take_bytes(len(piece))
        self.data += piece
        check_ratio(self._packed, len(self.data))


def unpack_deflate(packed: memoryview, budget: Budget) -> bytes:
    """A zip member's deflate (RFC 1951). Raises Damaged."""
    return _inflate(_RAW_DEFLATE, packed, budget)


def unpack_zlib(packed: memoryview, budget: Budget) -> bytes:
    """RFC 1950. Raises Damaged."""
    return _inflate(_ZLIB, packed, budget)


def unpack_gzip(packed: memoryview, budget: Budget) -> bytes:
    """RFC 1952, its members one after the other. Raises Damaged."""
    return _inflate(_GZIP, packed, budget)


def unpack_bzip2(packed: memoryview, budget: Budget) -> bytes:
    """Raises Damaged."""
    return _decompress(bz2.BZ2Decompressor, packed, packed, budget)


def unpack_xz(packed: memoryview, budget: Budget) -> bytes:
    """Raises Damaged."""
    return _decompress(
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LZMA_MEMORY_BYTES), packed, packed, budget
    )


def unpack_zip_lzma(packed: memoryview, budget: Budget) -> bytes:
    """APPNOTE 5.8.8: two bytes of version, two of the properties' size, the five properties of LZMA1, the data."""
    if len(packed) < 9 or int.from_bytes(packed[2:4], "little") != 5:
        raise Damaged
    coding, dictionary = packed[4], int.from_bytes(packed[5:9], "little")
    if coding >= 225 or dictionary > LZMA_MEMORY_BYTES:
        raise Damaged
    lzma1 = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": dictionary,
        "lc": coding % 9,
        "lp": coding // 9 % 5,
        "pb": coding // 45,
    }
    return _decompress(
        lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[lzma1]), packed[9:], packed, budget
    )


def _inflate(window_bits: int, packed: memoryview, budget: Budget) -> bytes:
    output = _Output(packed, budget)
    inflater, rest = zlib.decompressobj(window_bits), bytes(packed)
    try:
        while rest:
            output.add(inflater.decompress(rest, WINDOW_BYTES))
            if not inflater.eof:
                rest = inflater.unconsumed_tail
                continue
            # Another gzip member may follow; behind raw deflate there is nothing of the file's.
            rest = inflater.unused_data.lstrip(b"\0") if window_bits == _GZIP else b""
            inflater = zlib.decompressobj(window_bits)
    except zlib.error as error:
        if not output.data:
            raise Damaged from error
    return bytes(output.data)


def _decompress(
    make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor],
    data: memoryview,
    packed: memoryview,
    budget: Budget,
) -> bytes:
    output = _Output(packed, budget)
    rest: memoryview | bytes = data
    try:
        while rest:
            decompressor = make()
            piece = decompressor.decompress(rest, WINDOW_BYTES)
            while piece or not (decompressor.eof or decompressor.needs_input):
                output.add(piece)
                piece = b"" if decompressor.eof else decompressor.decompress(b"", WINDOW_BYTES)
            # Streams may follow each other.
            rest = decompressor.unused_data.lstrip(b"\0") if decompressor.eof else b""
    except (OSError, lzma.LZMAError, EOFError, ValueError) as error:
        if not output.data:
            raise Damaged from error
    return bytes(output.data)
