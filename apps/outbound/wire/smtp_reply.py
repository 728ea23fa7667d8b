"""An SMTP server's reply, read with bounds: a relay may be anything, and what it says is shown to people."""

import re
from collections.abc import Iterator
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
        if rest and (enhanced := self.enhanced):
            rest = [line.removeprefix(f"{enhanced} ") for line in rest]
        return " ".join([first, *rest])[:MAX_TEXT_CHARS]

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip()


class ReplyReader:
    """Makes replies of the bytes of one line, however they are cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._code = 0
        self._lines: list[str] = []

    def feed(self, data: bytes) -> Iterator[Reply]:
        """The replies that are complete with this. Raises MalformedReply for what is none, and is of no use then."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            reply = self._take(line)
            if reply is not None:
                yield reply
        _demand_bounded(self._rest)

    def _take(self, line: bytes) -> Reply | None:
        _demand_bounded(line)
        match = _LINE.fullmatch(line.rstrip(b"\r"))
        if match is None or len(self._lines) >= MAX_LINES or (self._lines and int(match[1]) != self._code):
            msg = "the server's answer is not an SMTP reply"
            raise MalformedReply(msg)
        self._code = int(match[1])
        self._lines.append(_printable(match[3] or b""))
        if match[2] == b"-":
            return None
        lines, self._lines = self._lines, []
        return Reply(self._code, tuple(lines))


def _demand_bounded(line: bytes) -> None:
    if len(line) > MAX_LINE_OCTETS:
        msg = f"the server sent a line longer than {MAX_LINE_OCTETS} octets"
        raise MalformedReply(msg)


def _printable(text: bytes) -> str:
    decoded = text.decode("utf-8", "replace")
    if not decoded.isprintable():
        decoded = "".join(char if char.isprintable() else "�" for char in decoded)
    return decoded.strip()


def server_words(code: int | None, enhanced: str, text: str) -> str:
    """What a server said with its codes in front, each once: some kept texts have them already."""
    said = f"{enhanced} {text}" if enhanced and enhanced not in text else text
    return f"{code} {said}".strip() if code and not said.startswith(str(code)) else said
