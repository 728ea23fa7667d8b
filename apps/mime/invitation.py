"""Read the calendar part of a mail (RFC 5545, RFC 6047) for people to see: what, when, where, who. Nothing acts on it.

Only the first event is read, out of a bounded beginning, and time zones that a mail defines itself are left out before
the library sees them: it keeps them for the life of a process, where the next mail's would meet them, and working one
out can take for ever. A time in such a zone is shown as it is written, with the zone's name beside it.

Limits: of a series the first event is told, and that it repeats.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from apps.mime.address import Address, parse_addresses
from apps.mime.clean import clean_line

MAX_CALENDAR_CHARS = 256 * 1024
MAX_PEOPLE = 50
_MAX_WORDS = 500

_CALENDAR_TYPES = frozenset({"text/calendar", "application/ics"})
_ZONE = re.compile(r";TZID=(?:\"[^\"\r\n]*\"|[^;:\r\n]*)", re.IGNORECASE)
_METHOD = re.compile(r"^METHOD:\s*([A-Za-z-]{1,40})", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Invitation:
    """One event. `method` is what the mail wants (REQUEST, CANCEL, REPLY, …), in capitals, "" for nothing.

    `starts` and `ends` are ISO 8601: a date alone for a whole day (its end is the last day), a time with its offset, or
    without one where the zone is not known; `time_zone` is the zone's name as written. `people` are at most 50 of
    `people_count`. `answer` is the PARTSTAT of the one who replies.
    """

    method: str
    summary: str
    starts: str
    ends: str
    time_zone: str
    location: str
    organiser: Address | None
    people: tuple[Address, ...]
    people_count: int
    repeats: bool
    uid: str
    answer: str = ""


def is_calendar(content_type: str, filename: str) -> bool:
    """Whether a part is a calendar, by its type or, where it has none worth the name, by its file name."""
    return content_type in _CALENDAR_TYPES or (
        content_type == "application/octet-stream" and filename.lower().endswith(".ics")
    )


def read_invitation(text: str, *, method: str = "") -> Invitation | None:
    """The event a calendar tells of, or None when there is none to be read. Never raises."""
    bounded = text[:MAX_CALENDAR_CHARS].replace("\r\n", "\n").replace("\r", "\n")
    lines = first_event(bounded.split("\n"))
    if not lines:
        return None
    from icalendar import Event  # 0.3 s, and needed by one mail in a hundred

    block = "\r\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT", ""])
    # The library looks a zone up as a file, and what a mail calls its zone may be a folder's name, or no file's: then
    # the times are read as they are written.
    for attempt in (block, _ZONE.sub("", block)):
        try:
            found = _invitation(Event.from_ical(attempt), method or _said_method(bounded))
            return found if found.summary or found.starts else None
        except OSError:
            continue
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
            break
    # A calendar that cannot be read stays what it is: a file.
    return None


def first_event(lines: list[str]) -> list[str]:
    """The lines of the first event, without what stands in it in blocks: alarms have a summary of their own."""
    inside: list[str] = []
    depth = 0
    for line in lines:
        name, _, value = line[:40].strip().upper().partition(":")
        if name == "BEGIN" and (depth or value == "VEVENT"):
            depth += 1
        elif name == "END" and depth:
            depth -= 1
            if not depth:
                return inside
        elif depth == 1:
            inside.append(line)
    return []


def _invitation(event: Any, method: str) -> Invitation:
    starts = _time(event, "DTSTART")
    ends = _time(event, "DTEND")
    duration = _first(event, "DURATION")
    if ends is None and starts is not None and isinstance(getattr(duration, "dt", None), timedelta):
        ends = starts + duration.dt
    if starts is not None and ends is not None and not isinstance(ends, datetime):
        ends = max(starts if not isinstance(starts, datetime) else starts.date(), ends - timedelta(days=1))
    people = _all(event, "ATTENDEE")
    organiser = _first(event, "ORGANIZER")
    return Invitation(
        method=clean_line(method, 40).upper(),
        summary=_words(event, "SUMMARY"),
        starts=starts.isoformat() if starts else "",
        ends=ends.isoformat() if ends else "",
        time_zone=clean_line(str(getattr(_first(event, "DTSTART"), "params", {}).get("TZID", "")), 100),
        location=_words(event, "LOCATION"),
        organiser=_person(organiser) if organiser is not None else None,
        people=tuple(person for one in people[:MAX_PEOPLE] if (person := _person(one)) is not None),
        people_count=len(people),
        repeats=event.get("RRULE") is not None or event.get("RDATE") is not None,
        uid=_words(event, "UID"),
        answer=clean_line(str(getattr(people[0], "params", {}).get("PARTSTAT", "")), 40).upper()
        if people
        else "",
    )


def _said_method(text: str) -> str:
    match = _METHOD.search(text)
    return match[1] if match else ""


def _all(event: Any, name: str) -> list[Any]:
    value = event.get(name)
    return value if isinstance(value, list) else [] if value is None else [value]


def _first(event: Any, name: str) -> Any:
    return next(iter(_all(event, name)), None)


def _words(event: Any, name: str) -> str:
    value = _first(event, name)
    return "" if value is None else clean_line(str(value), _MAX_WORDS)


def _time(event: Any, name: str) -> date | datetime | None:
    value = getattr(_first(event, name), "dt", None)
    return value if isinstance(value, date) else None


def _person(value: Any) -> Address | None:
    """RFC 5545 §3.3.3: a cal-address is a URI, nearly always mailto:, with the name in a parameter."""
    found = parse_addresses(str(value)[:1000], limit=1)
    name = clean_line(str(getattr(value, "params", {}).get("CN", "")), 250).strip(" '\"")
    if found:
        return Address(name or found[0].name, found[0].address)
    return Address(name, "") if name else None
