"""Pictures for tests, and files that only pretend to be some."""

import io
import struct
import zlib
from typing import Any

from PIL import Image


def picture(
    *,
    size: tuple[int, int] = (640, 480),
    colour: str = "teal",
    kind: str = "PNG",
    mode: str = "RGB",
    **save: Any,
) -> bytes:
    """One plain picture of a kind that Pillow writes."""
    written = io.BytesIO()
    Image.new(mode, size, colour).save(written, kind, **save)
    return written.getvalue()


def photograph_held_upright() -> bytes:
    """A JPEG as phones write it: lying on its side (EXIF orientation 6), with the place where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "Elena's kitchen"
    exif.get_ifd(0x8825)[1] = "N"
    return picture(size=(800, 400), kind="JPEG", exif=exif)


def bomb_png(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG of a few kilobytes that says it has `width` times `height` pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(b"\0" * 1_000_000))
        + _chunk(b"IEND", b"")
    )


def windows_program() -> bytes:
    """The two headers that Windows asks of a program, and nothing that would run."""
    return b"MZ".ljust(60, b"\0") + struct.pack("<I", 128) + b"\0" * 64 + b"PE\0\0" + b"\0" * 200


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
