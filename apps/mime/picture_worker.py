"""Where strangers' pictures and documents are looked into: `python -m apps.mime.picture_worker`, run by
`blobs.thumbnails` and `reading.looking`.

Pillow and PDFium are imported here and in no process that has a secret.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from apps.mime.listing import list_archive
from apps.mime.pages import PageAsked, count_pages, draw_page
from apps.mime.pictures import NoPicture, make_thumbnail, redraw
from apps.mime.worker import main

P = ParamSpec("P")
R = TypeVar("R")


def told(work: Callable[P, R]) -> Callable[P, R | str]:
    """The same work, with the code of why there is nothing to see instead of an error."""

    def answer(*args: P.args, **kwargs: P.kwargs) -> R | str:
        try:
            return work(*args, **kwargs)
        except NoPicture as refusal:
            return str(refusal)
        except MemoryError:
            return "too_many_pixels"
        except Exception:  # noqa: BLE001 - these raise anything for damaged files: struct.error, SyntaxError, OSError
            return "damaged"

    return answer


def _page(asked: bytes) -> tuple[bytes, int, int]:
    return draw_page(PageAsked.unpack(asked))


if __name__ == "__main__":
    main(
        {
            "thumbnail": told(make_thumbnail),
            "redraw": told(redraw),
            "pages": told(count_pages),
            "page": told(_page),
            "listing": told(list_archive),
        }
    )
