"""A message's bytes as they go over the line, made once for all of its recipients."""

import re
from dataclasses import dataclass

_BARE_LINE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def with_wire_line_ends(content: bytes) -> bytes:
    """The lines as they go over the wire, and as they are signed: CRLF alone, at the end too.

    A bare CR or LF we emit is a smuggled message elsewhere.
    """
    pairs = content.count(b"\r\n")
    if content.count(b"\n") != pairs or content.count(b"\r") != pairs:
        content = _BARE_LINE_END.sub(b"\r\n", content)
    return content if content.endswith(b"\r\n") else content + b"\r\n"


@dataclass(frozen=True, slots=True)
class Payload:
    """What stands between DATA's 354 and the final dot, and what the server must be able to take for it.

    Only `of` makes one, so that nothing in a message can end it early.
    """

    data: bytes
    is_ascii: bool
    has_ascii_headers: bool

    @classmethod
    def of(cls, content: bytes) -> "Payload":
        """RFC 5321 §4.5.2's dot-stuffing, over CRLF alone."""
        lines = with_wire_line_ends(content)
        stuffed = lines.replace(b"\r\n.", b"\r\n..")
        headers, end, _body = stuffed.partition(b"\r\n\r\n")
        data = b"." + stuffed if stuffed.startswith(b".") else stuffed
        return cls(data, stuffed.isascii(), not end or headers.isascii())

    @property
    def size_bytes(self) -> int:
        return len(self.data)
