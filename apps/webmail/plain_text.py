"""Plain text as the page shows it: escaped, with links one can follow and quotes folded, never hidden.

A plain-text mail needs no frame: everything is escaped here, and the only markup is our own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from apps.mime.quotes import split_quotes

# No repetition stands inside another one, so the time is linear in the text.
_LINK = re.compile(r"\bhttps?://[^\s<>\"'\u200b]{1,2000}|\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_TRAILING = ".,;:!?)]}»”’"
MAX_SHOWN_CHARS = 500_000


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of lines: new, or folded because it only repeats what was said before."""

    html: SafeString
    folded: bool
    line_count: int


@dataclass(frozen=True, slots=True)
class ShownText:
    """`cut` tells that only the first MAX_SHOWN_CHARS are shown; the original has the rest."""

    pieces: tuple[Piece, ...]
    cut: bool


def show_text(text: str) -> ShownText:
    """A text in pieces, in its order; joined, their lines are the whole text."""
    cut = len(text) > MAX_SHOWN_CHARS
    shown = text[:MAX_SHOWN_CHARS].replace("\r\n", "\n").strip("\n")
    return ShownText(tuple(_pieces(shown)), cut)


def _pieces(text: str) -> Iterator[Piece]:
    lines = text.split("\n")
    at = 0
    for start, end in split_quotes(text).folded:
        if start > at:
            yield _piece(lines[at:start], folded=False)
        yield _piece(lines[start:end], folded=True)
        at = end
    if at < len(lines):
        yield _piece(lines[at:], folded=False)


def _piece(lines: list[str], *, folded: bool) -> Piece:
    return Piece(link("\n".join(lines).strip("\n")), folded, len(lines))


def link(text: str) -> SafeString:
    """Escape a text and make its addresses links."""
    out: list[str] = []
    at = 0
    for match in _LINK.finditer(text):
        found = match.group().rstrip(_TRAILING)
        out.append(escape(text[at : match.start()]))
        out.append(_anchor(found))
        at = match.start() + len(found)
    out.append(escape(text[at:]))
    # Every part has been escaped above.
    return mark_safe("".join(out))  # noqa: S308


def _anchor(found: str) -> str:
    target = found if "://" in found else f"mailto:{found}"
    safe = escape(target)
    return f'<a href="{safe}" target="_blank" rel="noopener noreferrer nofollow">{escape(found)}</a>'
