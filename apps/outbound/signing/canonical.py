"""RFC 6376 §3.4.2 and §3.4.4: a message's “relaxed” form, in which white space that relays change does not count.

Both functions take bytes with CRLF line ends only (`wire.payload.with_wire_line_ends` makes them so) and are linear in
them: runs of white space are halved again and again by `bytes.replace` rather than met by a regular expression, which
would take a quadratic time for a long line of blanks. A differential test holds them to dkimpy's.
"""

from dataclasses import dataclass

CRLF = b"\r\n"
_WHITE_SPACE = b" \t"


@dataclass(frozen=True, slots=True)
class Field:
    """One header field as it stands: its name in lower case, and the value with its folds."""

    name: str
    value: bytes

    def relaxed(self) -> bytes:
        """§3.4.2: name in lower case, no folds, single spaces, none at either end; with its CRLF."""
        unfolded = self.value.replace(CRLF, b"")
        return self.name.encode() + b":" + _single_spaces(unfolded).strip(_WHITE_SPACE) + CRLF


def split_message(content: bytes) -> tuple[list[Field], bytes]:
    """The header's fields from top to bottom, and the body. A line of the header that is no field is passed over."""
    if content.startswith(CRLF):
        return [], content[2:]
    head, _blank, body = content.partition(CRLF * 2)
    fields: list[Field] = []
    for line in head.split(CRLF):
        if line[:1] in (b" ", b"\t") and fields:
            last = fields[-1]
            fields[-1] = Field(last.name, last.value + CRLF + line)
            continue
        name, colon, value = line.partition(b":")
        name = name.rstrip(_WHITE_SPACE)
        if colon and name.isascii():
            fields.append(Field(name.decode("ascii").lower(), value))
    return fields, body


def relaxed_body(body: bytes) -> bytes:
    """§3.4.4: single spaces, none at a line's end, no empty lines at the end; nothing at all for an empty body."""
    if body and not body.endswith(CRLF):
        body += CRLF
    lines = _single_spaces(body).replace(b" \r\n", CRLF).rstrip(CRLF)
    return lines + CRLF if lines else b""


def _single_spaces(text: bytes) -> bytes:
    text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text
