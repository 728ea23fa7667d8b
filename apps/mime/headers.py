"""Read a header block tolerantly (RFC 5322 §2.2), and the structured values that routing mail needs from it.

The block is bounded in fields and bytes. What lies beyond is skipped, not parsed, and the message still
reads.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from apps.mime.charset import decode_text
from apps.mime.clean import clean_line, clean_text
from apps.mime.words import decode_words

MAX_FIELDS = 2000
MAX_FIELD_BYTES = 256 * 1024
MAX_BLOCK_BYTES = 2 * 1024 * 1024
MAX_PARAMETERS = 200
MAX_REFERENCES = 100

NO_BLANK_LINE = "no blank line after the headers"
TOO_MANY_HEADERS = "too many headers"
TOO_MANY_PARAMETERS = "too many parameters"

_FIELD_NAME = re.compile(rb"[!-9;-~]+")  # RFC 5322 §2.2: printable ASCII except the colon
_MBOX_LINE = re.compile(rb">?From ")
_MESSAGE_ID = re.compile(r"<([^<>]*)>")
_PARAMETER = re.compile(r";\s*+([^=;\s]++)\s*+=\s*+(\"(?:[^\"\\]|\\.)*+\"?|[^;]*+)", re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Headers:
    """Header fields by lower-case name, in order, unfolded; raw eight-bit bytes decoded, encoded words not yet."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)

    def get(self, name: str) -> str:
        """The first value of a field, or ""."""
        return next((value for field_name, value in self.fields if field_name == name), "")

    def all(self, name: str) -> Iterator[str]:
        """Every value of a field, in order."""
        return (value for field_name, value in self.fields if field_name == name)

    def has(self, name: str) -> bool:
        """True when the field is there, be it empty."""
        return any(field_name == name for field_name, _ in self.fields)


def read_headers(raw: bytes, start: int, end: int) -> tuple[Headers, int]:
    """Read the header block that begins at `start`, and say where the body begins. Linear, and never raises."""
    headers = Headers()
    pending: list[bytes] = []
    position = start
    while position < end:
        eol = raw.find(b"\n", position, end)
        following = end if eol < 0 else eol + 1
        line = raw[position : min(following, position + MAX_FIELD_BYTES)].rstrip(b"\r\n")
        if not line:
            position = following
            break
        if line[:1] in b" \t" and pending:
            pending.append(line)
        elif _starts_field(line):
            _finish_field(headers, pending)
            pending = [line]
        elif not _MBOX_LINE.match(line):
            # Whatever this is, it is not a header: the body begins here, so that no word of it is lost.
            headers.defects.append(NO_BLANK_LINE)
            break
        position = following
        if position - start > MAX_BLOCK_BYTES:
            headers.defects.append(TOO_MANY_HEADERS)
            position = _after_blank_line(raw, position, end)
            break
    _finish_field(headers, pending)
    return headers, position


def _starts_field(line: bytes) -> bool:
    name, colon, _ = line.partition(b":")
    return bool(colon and _FIELD_NAME.fullmatch(name.rstrip(b" \t")))


def _after_blank_line(raw: bytes, position: int, end: int) -> int:
    match = re.compile(rb"\n\r?\n").search(raw, position - 1, end)
    return match.end() if match else end


def _finish_field(headers: Headers, lines: list[bytes]) -> None:
    if not lines:
        return
    if len(headers.fields) >= MAX_FIELDS:
        if TOO_MANY_HEADERS not in headers.defects:
            headers.defects.append(TOO_MANY_HEADERS)
        return
    name, _, value = b"".join(lines)[:MAX_FIELD_BYTES].partition(b":")
    text = value.strip().decode("ascii") if value.isascii() else decode_text(value.strip())[0]
    headers.fields.append((name.rstrip(b" \t").decode("ascii").lower(), clean_text(text)))


def parse_parameters(value: str) -> tuple[str, dict[str, str], list[str]]:
    """Read `type; name=value; ...` (RFC 2045 §5.1, RFC 2231): (token lower-cased, parameters, defects).

    Continued, percent-encoded and (against RFC 2047 §5, and common) encoded-word values come back decoded.
    """
    token = value.partition(";")[0].strip().lower()
    defects: list[str] = []
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for count, match in enumerate(_PARAMETER.finditer(value)):
        if count >= MAX_PARAMETERS:
            defects.append(TOO_MANY_PARAMETERS)
            break
        raw_value = match[2].strip()
        if raw_value.startswith('"'):
            raw_value = _QUOTED_PAIR.sub(r"\1", raw_value[1:].removesuffix('"'))
        name, star, rest = match[1].lower().partition("*")
        if not star:
            plain.setdefault(name, decode_words(raw_value))
            continue
        number, encoded = rest.removesuffix("*"), rest.endswith("*") or not rest
        if not number or (number.isascii() and number.isdigit() and len(number) < 4):
            sections.setdefault(name, {}).setdefault(int(number or 0), (raw_value, encoded))
    for name, numbered in sections.items():
        plain[name] = _join_sections(numbered)
    return token, plain, defects


def _join_sections(numbered: dict[int, tuple[str, bool]]) -> str:
    """RFC 2231 §3 and §4: sections in order; the first may begin with charset'language'."""
    charset = ""
    joined = b""
    for number, (text, encoded) in sorted(numbered.items()):
        section = text
        if encoded and number == 0 and section.count("'") >= 2:
            charset, _, section = section.split("'", 2)
        data = section.encode("utf-8", "replace")
        joined += _PERCENT.sub(lambda match: bytes([int(match[1], 16)]), data) if encoded else data
    return clean_text(decode_text(joined, charset)[0])


def message_ids(value: str) -> tuple[str, ...]:
    """The message ids in a Message-ID, In-Reply-To or References value: no brackets, no doubles, the newest
    100.

    Folding within an id (and programs that put spaces there) is undone by removing all whitespace.
    """
    found = ["".join(match.split()) for match in _MESSAGE_ID.findall(value)]
    if not found:
        # Some programs omit the brackets. A word with an @ is an id; the rest is prose.
        found = [word.strip("<>,;") for word in value.split() if "@" in word]
    unique = dict.fromkeys(clean_line(each) for each in found if each)
    return tuple(each for each in unique if each)[-MAX_REFERENCES:]


def parse_date(value: str) -> datetime | None:
    """A Date value as UTC, or None when it is no date or lies outside 1970 to 2100. Never raises."""
    try:
        date = parsedate_to_datetime(clean_line(value, 100))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    try:
        # RFC 5322 §3.3: -0000 says UTC without saying where; Python leaves such a date naive.
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return date if _EARLIEST <= date < _LATEST else None
