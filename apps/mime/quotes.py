"""Fold what a writer only quoted, and never what the writer wrote.

Folding is a hint for reading: the lines stay where they are, and every one of them can be shown. The rule
for doubt is to show. In order:

1.  An unmarked original ("-----Original Message-----", a block of From/Sent/To/Subject lines, "On … wrote:"
    with no `>` after it) folds to the end of the text, unless the writer announces answers within it ("see
    below", "inline").
2.  A `>` block folds when it is the last thing in the text, or when an attribution introduces it and one
    answer follows. With answers between several blocks, the blocks stay: without them the answers mean
    nothing.
3.  A signature after `-- ` folds, and so do "Sent from my …" lines and bare rulers at the end.
4.  When nothing new would remain, nothing folds.

Every line is looked at a bounded number of times, and no pattern repeats a repetition, so the time is linear.

Limits: an unmarked original with unannounced answers inside cannot be told from one without.
"""

import re
from dataclasses import dataclass

from apps.mime.attributions import (
    announces_inline_answers,
    attribution_lines,
    header_block_lines,
    is_device_line,
    is_original_marker,
)

_RULER = re.compile(r"[-_=~*#+.\u1427\u2014\u2013\s]+")
_QUOTE_MARK = re.compile(r"\s{0,8}[>\uff1e]")
_MAX_SIGNATURE_LINES = 20


@dataclass(frozen=True, slots=True)
class QuotedText:
    """`new_text` is the text without its folded lines; `folded` are their (start, end) line ranges, end
    excluded.

    Lines are what `text.split("\\n")` gives, so that joining all of them gives the very text.
    """

    new_text: str
    folded: tuple[tuple[int, int], ...]


def split_quotes(text: str) -> QuotedText:
    """Tell what is new in a text from what it quotes. Linear, and never raises."""
    lines = text.split("\n")
    hidden = [False] * len(lines)
    end = _fold_original(lines, hidden)
    end = _fold_signature(lines, hidden, end)
    end = _fold_marked_quotes(lines, hidden, end)
    _fold_signature(lines, hidden, end)  # one may stand above the quotation, too
    _fold_trailing_lines(lines, hidden)
    if not any(line.strip() for line, gone in zip(lines, hidden, strict=True) if not gone):
        return QuotedText(text.strip("\n"), ())
    shown = "\n".join(line for line, gone in zip(lines, hidden, strict=True) if not gone)
    return QuotedText(shown.strip("\n").rstrip(), _ranges(hidden))


def _ranges(hidden: list[bool]) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    start = 0
    for number, (before, now) in enumerate(zip([False, *hidden], [*hidden, False], strict=True)):
        if now and not before:
            start = number
        elif before and not now:
            ranges.append((start, number))
    return tuple(ranges)


def _fold_original(lines: list[str], hidden: list[bool]) -> int:
    """Rule 1. Answers where the original begins, which is the number of lines where there is none."""
    something_new = False
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        if something_new and _begins_original(lines, number):
            if announces_inline_answers(lines[:number]):
                return len(lines)
            hidden[number:] = [True] * (len(lines) - number)
            return number
        if is_original_marker(line) or header_block_lines(lines, number):
            # A forwarded message with no word of the sender's own: what it forwards is what there is to read.
            return len(lines)
        something_new = something_new or not (_is_quoted(line) or _RULER.fullmatch(line))
    return len(lines)


def _begins_original(lines: list[str], number: int) -> bool:
    if _is_quoted(lines[number]):
        return False
    if is_original_marker(lines[number]) or header_block_lines(lines, number):
        return True
    taken, certain = attribution_lines(lines, number)
    if not (taken and certain):
        return False
    following = _next_written(lines, number + taken)
    return following is not None and not _is_quoted(lines[following])


def _fold_signature(lines: list[str], hidden: list[bool], end: int) -> int:
    """Rule 3, the part after `-- `. Answers where the signature begins."""
    for number in range(end - 1, max(-1, end - 1 - _MAX_SIGNATURE_LINES), -1):
        if lines[number].rstrip() == "--":
            after = lines[number + 1 : end]
            if not any(_is_quoted(line) for line in after):
                hidden[number:end] = [True] * (end - number)
                return number
    return end


def _fold_marked_quotes(lines: list[str], hidden: list[bool], end: int) -> int:
    """Rule 2. Answers where the quotation at the end begins."""
    blocks = _quote_blocks(lines, end)
    trailing = [block for block in blocks if _next_written(lines, block[1], end) is None]
    answered = [block for block in blocks if block not in trailing[-1:]]
    for start, stop in trailing:
        begin = _attribution_start(lines, start)
        hidden[begin:stop] = [True] * (stop - begin)
        end = begin
    if len(answered) == 1:
        start, stop = answered[0]
        begin = _attribution_start(lines, start)
        if begin < start:
            hidden[begin:stop] = [True] * (stop - begin)
    return end


def _quote_blocks(lines: list[str], end: int) -> list[tuple[int, int]]:
    """Ranges of quoted lines, blank lines between them included."""
    blocks: list[tuple[int, int]] = []
    for number in range(end):
        if not _is_quoted(lines[number]):
            continue
        if blocks and not any(line.strip() for line in lines[blocks[-1][1] : number]):
            blocks[-1] = (blocks[-1][0], number + 1)
        else:
            blocks.append((number, number + 1))
    return blocks


def _attribution_start(lines: list[str], block_start: int) -> int:
    """Where the attribution above a quote block begins, or the block's own start when none stands there."""
    last = block_start - 1
    while last >= 0 and block_start - last <= 3 and not lines[last].strip():
        last -= 1
    first = last
    while first > 0 and last - first < 4 and lines[first - 1].strip():
        first -= 1
    # From the top: the lower lines of a folded attribution look like a shorter one.
    for begin in range(max(first, 0), last + 1):
        taken, _ = attribution_lines(lines, begin)
        if taken and begin + taken > last:
            return begin
    return block_start


def _fold_trailing_lines(lines: list[str], hidden: list[bool]) -> None:
    """Rule 3, device lines and rulers at the end of what is still shown."""
    for number in range(len(lines) - 1, -1, -1):
        if hidden[number] or not lines[number].strip():
            continue
        if not (_RULER.fullmatch(lines[number]) or is_device_line(lines[number])):
            return
        hidden[number] = True


def _is_quoted(line: str) -> bool:
    return _QUOTE_MARK.match(line) is not None


def _next_written(lines: list[str], start: int, end: int | None = None) -> int | None:
    stop = len(lines) if end is None else end
    return next((number for number in range(start, stop) if lines[number].strip()), None)
