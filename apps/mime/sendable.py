"""Make a message that a mail program wrote fit to be sent on, changing no more of it than RFC 6409 §8 allows.

Its structure, its Message-ID, its own signatures and every header field of its own stay byte for byte where they were.

added        a missing Date (§8.2) and Message-ID (§8.3), and a recipients' field where it names nobody: some servers
             refuse mail without one, and an empty group names nobody (RFC 5322 §3.6.3)
taken away   Bcc and Resent-Bcc, because the hidden would not be (RFC 5322 §3.6.3); Return-Path, which the last server
             writes (RFC 5321 §4.4); verdicts and traces that only a server may write, because a reader would take
             them for one's (RFC 8601 §5). Received stays: hops are counted by it, and a loop would lose its brake
refused      what two readers read differently: a line in the header that is no field, a field twice that may stand
             once, bytes that are no UTF-8, a NUL, a line of more than 998 octets, a From of other than one address

A refusal beats a repair here: whoever wrote the message is still on the line, and repairs it better.

Limits: long lines are not re-encoded (§8.4): the sender's program is told which line it was.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from apps.mime.address import Address, parse_addresses
from apps.mime.folding import MAX_CHARS
from apps.mime.headers import message_ids

MAX_HEADER_BYTES = 256 * 1024
MAX_FIELDS = 500

# RFC 5322 §3.6, and RFC 2045 for the last three: at most one of each.
ONCE = frozenset({
    "from", "sender", "reply-to", "to", "cc", "message-id", "in-reply-to", "references", "subject", "date",
    "mime-version", "content-type", "content-transfer-encoding",
})  # fmt: skip
TAKEN_AWAY = frozenset({
    "bcc", "resent-bcc", "return-path", "envelope-to", "delivered-to", "x-original-to",
    "authentication-results", "received-spf",
})  # fmt: skip
TAKEN_AWAY_PREFIXES = ("arc-", "x-spam-", "x-virus-")

_NAME = re.compile(rb"([!-9;-~]{1,76}):")
_MESSAGE_ID = re.compile(r"[!-;=?-~]{1,900}")
# RFC 5322 §3.4's mailbox without its obsolete forms, which readers disagree about: a phrase and an address in
# brackets, or the address alone; a comment may follow. Every piece is possessive, so that no value takes long.
_WORD = r'(?:"(?:[^"\\]|\\.)*+"|[^\s"(),:;<>@\[\]\\]++)'
_SOLE = re.compile(
    rf'\s*+(?:(?:{_WORD}\s*+)*+<[^<>\s"(),:;]++>|[^\s"(),:;<>\[\]\\]++)\s*+(?:\([^()\\]*+\)\s*+)?', re.DOTALL
)


class Unsendable(ValueError):
    """The message must not be sent as it is. `field` names the header field, or is "message"."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Sendable:
    """The bytes to send, and whom the message says it is from. `sender`: its Sender field, where there is one."""

    raw: bytes
    author: Address
    sender: Address | None


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    line: bytes  # whole, with its folds and its CRLF

    @property
    def value(self) -> str:
        return self.line.partition(b":")[2].replace(b"\r\n", b"").decode().strip()


def make_sendable(raw: bytes, *, message_id_of: Callable[[Address], str], date: datetime) -> Sendable:
    """`raw` has CRLF line ends only. A message without gets `date`, and a Message-ID (no brackets) made for its author.

    Raises Unsendable, and what `message_id_of` raises.
    """
    _check_lines(raw)
    fields, body = _split(raw)
    _check_once(fields)
    kept = [one for one in fields if not _is_taken_away(one.name)]
    by_name = {one.name: one for one in kept}
    author = _sole_address(by_name.get("from"), "From")
    sender = _sole_address(by_name["sender"], "Sender") if "sender" in by_name else None
    added = []
    if not by_name.get("message-id") or not _is_usable_id(by_name["message-id"].value):
        kept = [one for one in kept if one.name != "message-id"]
        added.append(f"Message-ID: <{message_id_of(author)}>\r\n")
    if "date" not in by_name:
        added.append(f"Date: {format_datetime(date)}\r\n")
    if not by_name.keys() & {"to", "cc", "resent-to", "resent-cc"}:
        added.append("To: undisclosed-recipients:;\r\n")
    whole = b"".join(["".join(added).encode(), *(one.line for one in kept), b"\r\n", body])
    return Sendable(whole, author, sender)


def _check_lines(raw: bytes) -> None:
    if b"\0" in raw:
        # RFC 2045 §2.8: not even eight-bit data has any.
        raise Unsendable("message", "It contains a NUL byte, which no mail may")
    n, start = 1, 0
    while start < len(raw):
        end = raw.find(b"\r\n", start)
        if (len(raw) if end < 0 else end) - start > MAX_CHARS:
            reason = (
                f"Line {n} of it is longer than the {MAX_CHARS} octets a line may have (RFC 5322, 2.1.1); "
                "let your program use quoted-printable or base64"
            )
            raise Unsendable("message", reason)
        n, start = n + 1, len(raw) if end < 0 else end + 2


def _split(raw: bytes) -> tuple[list[_Field], bytes]:
    head, _blank, body = (b"", b"", raw[2:]) if raw.startswith(b"\r\n") else raw.partition(b"\r\n\r\n")
    if len(head) > MAX_HEADER_BYTES:
        raise Unsendable("message", f"Its header is larger than {MAX_HEADER_BYTES:,} bytes")
    fields: list[list[bytes]] = []
    for n, line in enumerate(head.removesuffix(b"\r\n").split(b"\r\n") if head else [], 1):
        if line[:1] in (b" ", b"\t") and line.strip() and fields:
            fields[-1].append(line)
        elif _NAME.match(line):
            fields.append([line])
        else:
            raise Unsendable(
                "message", f"Line {n} of it is no header field, and no empty line ends the header"
            )
    if len(fields) > MAX_FIELDS:
        raise Unsendable("message", f"It has more than {MAX_FIELDS} header fields")
    return [_field(lines) for lines in fields], body


def _field(lines: Sequence[bytes]) -> _Field:
    name = lines[0].partition(b":")[0].decode("ascii")
    whole = b"".join(line + b"\r\n" for line in lines)
    try:
        whole.decode()
    except UnicodeDecodeError as error:
        raise Unsendable(
            name, "It has bytes that are no UTF-8; let your program encode them (RFC 2047)"
        ) from error
    return _Field(name.lower(), whole)


def _check_once(fields: Sequence[_Field]) -> None:
    seen = set()
    for field in fields:
        if field.name in ONCE and field.name in seen:
            raise Unsendable(
                field.name.title(), "It stands twice; readers would differ in which of them they show"
            )
        seen.add(field.name)


def _is_taken_away(name: str) -> bool:
    return name in TAKEN_AWAY or name.startswith(TAKEN_AWAY_PREFIXES)


def _sole_address(field: _Field | None, name: str) -> Address:
    """The one address of From or Sender; readers must not be able to find another one there."""
    if field is None:
        raise Unsendable(name, "It is missing")
    found = parse_addresses(field.value) if _SOLE.fullmatch(field.value) else ()
    if len(found) != 1:
        raise Unsendable(name, "It must hold exactly one address, as in: Anna Berg <anna@example.org>")
    return found[0]


def _is_usable_id(value: str) -> bool:
    ids = message_ids(value)
    return len(ids) == 1 and "@" in ids[0] and _MESSAGE_ID.fullmatch(ids[0]) is not None
