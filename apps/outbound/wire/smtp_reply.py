"""An SMTP server's reply, read with bounds: a relay may be anything, and what it says is shown to people."""

import asyncio
import re
from dataclasses import dataclass

# RFC 5321 §4.5.3.1.5 allows 512 octets a line; real servers write longer explanations.
MAX_LINE_OCTETS = 4096
MAX_LINES = 100
MAX_TEXT_CHARS = 1000

_LINE = re.compile(rb"([2-5][0-5][0-9])(?:([ -])(.*))?", re.DOTALL)
# RFC 3463 §2: class "." subject "." detail
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")


class MalformedReply(Exception):
    """What the server said is not an SMTP reply."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply (RFC 5321 §4.2): its code and the text of its lines, printable and bounded."""

    code: int
    lines: tuple[str, ...]

    @property
    def positive(self) -> bool:
        return 200 <= self.code < 300

    @property
    def enhanced(self) -> str:
        """RFC 2034's status code at the start of the text, or ""."""
        match = _ENHANCED.match(self.lines[0])
        return match.group(1) if match and match.group(1)[0] == str(self.code)[0] else ""

    @property
    def text(self) -> str:
        """All lines as one, the enhanced code said once."""
        first, *rest = self.lines
        prefix = f"{self.enhanced} " if self.enhanced else ""
        joined = " ".join([first, *(line.removeprefix(prefix) for line in rest)])
        return joined[:MAX_TEXT_CHARS]

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip()


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """The next reply.

    Raises MalformedReply for anything that is not one, EOFError when the line ends first, OSError when it breaks.
    """
    lines: list[str] = []
    code = 0
    while True:
        match = _LINE.fullmatch(await _read_line(reader))
        if match is None or (lines and int(match.group(1)) != code) or len(lines) >= MAX_LINES:
            msg = "the server's answer is not an SMTP reply"
            raise MalformedReply(msg)
        code = int(match.group(1))
        lines.append(_printable(match.group(3) or b""))
        if match.group(2) != b"-":
            return Reply(code, tuple(lines))


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readline()
    except ValueError as error:  # StreamReader's word for a line beyond its limit
        msg = f"the server sent a line longer than {MAX_LINE_OCTETS} octets"
        raise MalformedReply(msg) from error
    if not line.endswith(b"\n"):
        msg = "the server closed the connection"
        raise EOFError(msg)
    return line.rstrip(b"\r\n")


def _printable(text: bytes) -> str:
    decoded = text.decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "�" for char in decoded).strip()


def server_words(code: int | None, enhanced: str, text: str) -> str:
    """What a server said with its codes in front, each once: some kept texts have them already."""
    said = f"{enhanced} {text}" if enhanced and enhanced not in text else text
    return f"{code} {said}".strip() if code and not said.startswith(str(code)) else said
