"""RFC 6376 §3.4: a message in the forms that are signed and verified, “simple” and “relaxed”.

All functions take bytes with CRLF line ends only and are linear in them: runs of white space are halved again and again
by `bytes.replace` rather than met by a regular expression, which would take a quadratic time for a long line of blanks.
A differential test holds them to dkimpy's.
"""

import re
from dataclasses import dataclass

CRLF = b"\r\n"
_WHITE_SPACE = b" \t"
_LINE_ENDS_BACKWARDS = re.compile(rb"(?:\n\r)*+")


@dataclass(frozen=True, slots=True)
class Field:
    """One header field: its name in lower case, the value with its folds, and the name with its colon as written."""

    name: str
    value: bytes
    written: bytes = b""

    def relaxed(self) -> bytes:
        """§3.4.2: name in lower case, no folds, single spaces, none at either end; with its CRLF."""
        unfolded = self.value.replace(CRLF, b"")
        return self.name.encode() + b":" + _single_spaces(unfolded).strip(_WHITE_SPACE) + CRLF

    def simple(self) -> bytes:
        """§3.4.1: as it stands; with its CRLF."""
        return self.written + self.value + CRLF


def split_message(content: bytes) -> tuple[list[Field], bytes]:
    """The header's fields from top to bottom, and the body. A line of the header that is no field is passed over."""
    if content.startswith(CRLF):
        return [], content[2:]
    head, _blank, body = content.partition(CRLF * 2)
    return split_fields(head), body


def split_fields(head: bytes) -> list[Field]:
    """The fields of a header without its blank line."""
    unfinished: list[tuple[bytes, list[bytes]]] = []
    for line in head.split(CRLF):
        if line[:1] in (b" ", b"\t") and unfinished:
            unfinished[-1][1].append(line)
            continue
        name, colon, value = line.partition(b":")
        if colon and name.isascii():
            unfinished.append((name, [value]))
    return [
        Field(name.rstrip(_WHITE_SPACE).decode("ascii").lower(), CRLF.join(lines), name + b":")
        for name, lines in unfinished
    ]


def relaxed_body(body: bytes) -> bytes:
    """§3.4.4: single spaces, none at a line's end, no empty lines at the end; nothing at all for an empty body."""
    if body and not body.endswith(CRLF):
        body += CRLF
    lines = _without_empty_end(_single_spaces(body).replace(b" \r\n", CRLF))
    return lines + CRLF if lines else b""


def simple_body(body: bytes) -> bytes:
    """§3.4.3: no empty lines at the end; a single CRLF for an empty body."""
    return _without_empty_end(body) + CRLF


def _without_empty_end(body: bytes) -> bytes:
    kept = len(body.rstrip(CRLF))
    # A lone CR or LF is none of those: only whole line ends are taken away.
    empty = _LINE_ENDS_BACKWARDS.match(body[kept:][::-1])
    return body[: len(body) - (empty.end() if empty else 0)]


def _single_spaces(text: bytes) -> bytes:
    text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text
