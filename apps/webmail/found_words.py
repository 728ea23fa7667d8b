"""What a search asked for, marked where a list shows it.

Words are folded as the index folds them (`mailboxes.search`), so that what was found is what is marked: "grusse" marks
"Grüße". Chinese, Japanese and Korean are marked by the pairs of characters they are found by.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from apps.mailboxes.operators import Asked, Kind
from apps.mailboxes.search import terms_of

_PIECE = re.compile(r"[^\W_]+")
_BEFORE_CHARS = 40
_EXCERPT_CHARS = 180


@dataclass(frozen=True, slots=True)
class FoundWords:
    """The words of a search by where they were asked for: whole ones, and one that may be a beginning."""

    whole: frozenset[str]
    begun: frozenset[str]

    @classmethod
    def of(cls, asked: Asked | None, *kinds: Kind) -> "FoundWords":
        whole, begun = set(), set()
        for clause in asked.words if asked is not None else ():
            if clause.kind in kinds:
                terms = terms_of(clause.value)
                begun |= set(terms[-1:]) if clause.unfinished else set()
                whole |= set(terms[:-1] if clause.unfinished else terms)
        return cls(frozenset(whole), frozenset(begun))

    def __bool__(self) -> bool:
        return bool(self.whole or self.begun)

    def mark(self, text: str) -> SafeString:
        """The text as HTML, with `<mark>` around what was found."""
        if not self:
            return conditional_escape(text)
        html, position = [], 0
        for start, end in self._places(text):
            html += [
                conditional_escape(text[position:start]),
                format_html("<mark>{}</mark>", text[start:end]),
            ]
            position = end
        return mark_safe("".join([*html, conditional_escape(text[position:])]))  # noqa: S308 - escaped piece by piece

    def excerpt(self, text: str, otherwise: str) -> str:
        """What stands around the first place in a long text; `otherwise` where that shows one, or the text has none."""
        if not self or any(True for _place in self._places(otherwise)):
            return otherwise
        start = next((place for place, _end in self._places(text)), None)
        if start is None:
            return otherwise
        begin = max(0, start - _BEFORE_CHARS)
        if begin:
            begin = text.find(" ", begin, start) + 1 or start
        words = " ".join(text[begin : begin + _EXCERPT_CHARS * 2].split())[:_EXCERPT_CHARS]
        return f"… {words}" if begin else words

    def _places(self, text: str) -> "list[tuple[int, int]]":
        return [place for piece in _PIECE.finditer(text) for place in self._within(piece)]

    def _within(self, piece: re.Match[str]) -> Collection[tuple[int, int]]:
        terms = terms_of(piece.group())
        if len(terms) == 1:
            found = terms[0] in self.whole or any(terms[0].startswith(one) for one in self.begun)
            return [piece.span()] if found else []
        asked = [one for one in (*self.whole, *self.begun) if one in terms]
        spans = []
        for one in asked:
            at = piece.group().find(one)
            while at >= 0:
                spans.append((piece.start() + at, piece.start() + at + len(one)))
                at = piece.group().find(one, at + 1)
        return _joined(sorted(spans))


def _joined(spans: Collection[tuple[int, int]]) -> list[tuple[int, int]]:
    """Overlapping ones made one: 請求 and 求書 mark 請求書."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
