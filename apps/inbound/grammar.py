"""The words after MAIL and RCPT (RFC 5321 §4.1.2, with the parameters of §4.1.1.11). Pure; raises CommandRefused.

Real senders leave brackets out, put blanks after the colon, and write addresses with parentheses: a path is taken as
whatever stands in its brackets. Whether it is an address anybody has is decided by who looks it up.
"""

import re
from dataclasses import dataclass, field

from apps.inbound.errors import CommandRefused

_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([\x21-\x3c\x3e-\x7e]+))?")
NULL_PATH = "<>"


@dataclass(frozen=True, slots=True)
class Path:
    """Where mail comes from or goes to. `address` is "" for the null path; parameters have their keys in capitals."""

    address: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse_path(argument: str, keyword: str, *, extended: bool) -> Path:
    """`FROM:<anna@example.org> SIZE=100` for the keyword `FROM:`. Parameters need an EHLO (RFC 5321 §2.2.1)."""
    malformed = f"501 5.5.4 Say {keyword}<address>"
    if argument[: len(keyword)].upper() != keyword:
        raise CommandRefused(malformed)
    rest = argument[len(keyword) :].strip()
    if not rest:
        raise CommandRefused(malformed)
    path, rest = _split(rest)
    if path is None or not rest.isascii() or not path.isprintable():
        raise CommandRefused("553 5.1.3 This is not a mail address")
    parameters = dict[str, str]()
    for word in rest.split():
        match = _PARAMETER.fullmatch(word)
        if match is None or not extended or match[1].upper() in parameters:
            raise CommandRefused(malformed)
        parameters[match[1].upper()] = match[2] or ""
    # RFC 5321 §4.1.1.3: a source route before the address is to be ignored.
    return Path(path.rpartition(":")[2] if path.startswith("@") else path, parameters)


def check_mail_parameters(parameters: dict[str, str], *, max_size_bytes: int) -> None:
    """SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531); others we have not announced."""
    left = dict(parameters)
    if (body := left.pop("BODY", "7BIT").upper()) not in {"7BIT", "8BITMIME"}:
        raise CommandRefused(f"501 5.5.4 BODY={body[:20]} is not offered, 7BIT and 8BITMIME are")
    if left.pop("SMTPUTF8", ""):
        raise CommandRefused("501 5.5.4 SMTPUTF8 takes no value")
    if (size := left.pop("SIZE", None)) is not None:
        # RFC 1870 §4: up to twenty digits.
        if not (size.isascii() and size.isdigit() and len(size) <= 20):
            raise CommandRefused("501 5.5.4 SIZE is a number of bytes")
        if int(size) > max_size_bytes:
            raise CommandRefused(f"552 5.3.4 The message is larger than {max_size_bytes} bytes")
    refuse_any(left)


def refuse_any(parameters: dict[str, str]) -> None:
    """RFC 5321 §4.1.1.11: parameters that nobody announced are 555."""
    if parameters:
        raise CommandRefused(f"555 5.5.4 {next(iter(parameters))[:20]} is not offered here")


def _split(argument: str) -> tuple[str | None, str]:
    """(what stands in the angle brackets, what follows them); without brackets, the first word."""
    if not argument.startswith("<"):
        path, _space, rest = argument.partition(" ")
        return path or None, rest
    quoted = escaped = False
    for position, character in enumerate(argument):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = quoted
        elif character == '"':
            quoted = not quoted
        elif character == ">" and not quoted:
            return argument[1:position].strip(), argument[position + 1 :].strip()
    return None, ""
