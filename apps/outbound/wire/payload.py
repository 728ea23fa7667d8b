"""A message's bytes as they go over the line, made once for all of its recipients."""

import re
from dataclasses import dataclass

_BARE_LINE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n")


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
        """RFC 5321 §4.5.2's dot-stuffing, over CRLF alone: a bare CR or LF we emit is a smuggled message elsewhere."""
        lines = _BARE_LINE_END.sub(b"\r\n", content)
        if not lines.endswith(b"\r\n"):
            lines += b"\r\n"
        stuffed = lines.replace(b"\r\n.", b"\r\n..")
        headers, end, _body = stuffed.partition(b"\r\n\r\n")
        data = b"." + stuffed if stuffed.startswith(b".") else stuffed
        return cls(data, stuffed.isascii(), not end or headers.isascii())

    @property
    def size_bytes(self) -> int:
        return len(self.data)
