"""Pictures of a PDF's pages. Only ever called in a process that can be killed (`picture_worker`).

PDFium draws; its scripts and forms are not built in, so a document runs nothing and fetches nothing, and what leaves
here is pixels.

Limits: what a page shows beyond `MAX_SIDE` times its width is cut off by being drawn smaller.
"""

import io
import struct
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from apps.mime.pictures import NoPicture

MAX_PAGES = 300
WIDTH = 1400
MAX_SIDE = 3000

_HEAD = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class PageAsked:
    """One page, counted from 0, of a document; as the worker is asked for it."""

    number: int
    document: bytes

    def pack(self) -> bytes:
        return _HEAD.pack(self.number) + self.document

    @classmethod
    def unpack(cls, packed: bytes) -> "PageAsked":
        (number,) = _HEAD.unpack_from(packed)
        return cls(number, packed[_HEAD.size :])


def count_pages(document: bytes) -> int:
    """How many pages there are to draw, `MAX_PAGES` at most. Raises NoPicture, and whatever PDFium raises."""
    with closing(_open(document)) as pdf:
        return min(len(pdf), MAX_PAGES)


def draw_page(asked: PageAsked) -> tuple[bytes, int, int]:
    """A page as WebP, with its width and height. Raises NoPicture, and whatever PDFium raises."""
    with closing(_open(asked.document)) as pdf:
        if asked.number >= min(len(pdf), MAX_PAGES):
            raise NoPicture("no_such_page")
        page = pdf[asked.number]
        width, height = page.get_size()
        scale = min(WIDTH / max(width, 1), MAX_SIDE / max(height, 1), MAX_SIDE / max(width, 1), 4)
        picture = page.render(scale=scale, may_draw_forms=False).to_pil().convert("RGB")
        written = io.BytesIO()
        picture.save(written, "WEBP", quality=80, method=2)
        return written.getvalue(), picture.width, picture.height


def _open(document: bytes) -> Any:
    import pypdfium2 as pdfium  # type: ignore[import-untyped]  # 0.1 s, and needed by few workers

    try:
        return pdfium.PdfDocument(document)
    except pdfium.PdfiumError as error:
        raise NoPicture("locked" if "password" in str(error).lower() else "damaged") from error
