"""The answer to an invitation: an iTIP REPLY (RFC 5546 §3.2.3) to the first event of a calendar.

What identifies the event is copied as it was written, since the organiser's program compares it: UID, SEQUENCE,
RECURRENCE-ID, ORGANIZER. Nothing else of a stranger's calendar is sent on.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from apps.mime.address import Address
from apps.mime.clean import clean_line, clean_text
from apps.mime.invitation import MAX_CALENDAR_CHARS, first_event

_COPIED = ("UID", "SEQUENCE", "RECURRENCE-ID", "ORGANIZER", "SUMMARY")
_NAME = re.compile(r"([A-Za-z-]{1,40})[;:]")
_MAX_LINE_CHARS = 2000
_FOLD_OCTETS = 74


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is a PARTSTAT (RFC 5545 §3.2.12)."""

    who: Address
    status: str
    at: datetime


def answer_calendar(calendar: str, answer: Answer) -> str | None:
    """The REPLY; None for a calendar whose event has no UID, which nobody could match."""
    bounded = calendar[:MAX_CALENDAR_CHARS].replace("\r\n", "\n").replace("\r", "\n")
    copied: dict[str, str] = {}
    for line in _unfolded(first_event(bounded.split("\n"))):
        name = _NAME.match(line)
        if name and name[1].upper() in _COPIED and len(line) <= _MAX_LINE_CHARS:
            copied.setdefault(name[1].upper(), line)
    if "UID" not in copied or "ORGANIZER" not in copied:
        return None
    person = clean_line(answer.who.name, 200).replace('"', "'")
    lines = [
        "BEGIN:VCALENDAR",
        "PRODID:-//mailplatform//EN",
        "VERSION:2.0",
        "METHOD:REPLY",
        "BEGIN:VEVENT",
        f"DTSTAMP:{answer.at.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        *(copied[name] for name in _COPIED if name in copied),
        f'ATTENDEE;PARTSTAT={answer.status.upper()};CN="{person}":mailto:{answer.who.address}',
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "".join(_folded(line) for line in lines)


def _unfolded(lines: list[str]) -> list[str]:
    """RFC 5545 §3.1: a line that begins with a blank goes on with the one before."""
    whole: list[str] = []
    for line in lines:
        text = clean_text(line).rstrip("\n")
        if line[:1] in {" ", "\t"} and whole:
            whole[-1] += text[1:]
        else:
            whole.append(text)
    return whole


def _folded(line: str) -> str:
    """At most 75 octets a line, and no character cut in two."""
    pieces, room = [""], _FOLD_OCTETS
    for character in line:
        size = len(character.encode())
        if size > room:
            pieces.append("")
            room = _FOLD_OCTETS - 1
        pieces[-1] += character
        room -= size
    return "\r\n ".join(pieces) + "\r\n"
