"""Calendars as people and their programs write them."""

import pytest

from apps.mime.address import Address
from apps.mime.invitation import Invitation, read_invitation

DAY = "2026-03-03"
BERLIN_LATER = f"{DAY}T15:00:00+01:00"
OWN_ZONE = (
    "BEGIN:VTIMEZONE\nTZID:Ours\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0500\nTZOFFSETTO:+0500\n"
    "END:STANDARD\nEND:VTIMEZONE\n"
)


def event(*lines: str, method: str = "REQUEST") -> Invitation:
    text = "\r\n".join(
        ["BEGIN:VCALENDAR", f"METHOD:{method}", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR", ""]
    )
    found = read_invitation(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("lines", "starts", "ends"),
    [
        (["DTSTART:20260303T140000Z", "DTEND:20260303T150000Z"], f"{DAY}T14:00:00+00:00", f"{DAY}T15:00:00+00:00"),
        (["DTSTART;TZID=Europe/Berlin:20260303T140000", "DURATION:PT1H"], f"{DAY}T14:00:00+01:00", BERLIN_LATER),
        (["DTSTART;TZID=W. Europe Standard Time:20260703T140000"], "2026-07-03T14:00:00+02:00", ""),
        (["DTSTART;TZID=Customized Time Zone:20260303T140000"], "2026-03-03T14:00:00", ""),
        (["DTSTART:20260303T140000"], "2026-03-03T14:00:00", ""),
        (["DTSTART;VALUE=DATE:20260303", "DTEND;VALUE=DATE:20260306"], "2026-03-03", "2026-03-05"),
        (["DTSTART;VALUE=DATE:20260303"], "2026-03-03", ""),
        (["SUMMARY:No time"], "", ""),
    ],
)  # fmt: skip
def test_when_it_is(lines: list[str], starts: str, ends: str) -> None:
    found = event(*lines)
    assert (found.starts, found.ends) == (starts, ends)


@pytest.mark.parametrize(
    "zone", ["America", ".", "x" * 400, "../../../etc/passwd", "/etc/passwd", "\x84" * 120, ""]
)
def test_a_zone_that_is_no_zone_costs_the_zone_and_not_the_event(zone: str) -> None:
    found = event(f"DTSTART;TZID={zone}:20260303T140000", "SUMMARY:Lamp")
    assert (found.starts, found.summary) == ("2026-03-03T14:00:00", "Lamp")


def test_who_is_asked_and_who_answers() -> None:
    found = event(
        "SUMMARY;LANGUAGE=en:Lamps\\, all of them",
        'ORGANIZER;CN="Marsh, Elena":MAILTO:elena@customer.example',
        "ATTENDEE;PARTSTAT=DECLINED;CN=Ben:mailto:ben@customer.example",
        "RRULE:FREQ=WEEKLY",
        method="reply",
    )
    assert (found.method, found.summary) == ("REPLY", "Lamps, all of them")
    assert found.organiser == Address("Marsh, Elena", "elena@customer.example")
    assert (found.people, found.answer) == ((Address("Ben", "ben@customer.example"),), "DECLINED")
    assert found.repeats


def test_an_alarms_words_are_not_the_events() -> None:
    assert event("BEGIN:VALARM", "SUMMARY:Alarm", "END:VALARM", "SUMMARY:Lamp").summary == "Lamp"


def test_a_zone_of_ones_own_is_not_remembered_for_the_next_mail() -> None:
    first = (
        "BEGIN:VCALENDAR\n"
        + OWN_ZONE
        + "BEGIN:VEVENT\nDTSTART;TZID=Ours:20260303T140000\nEND:VEVENT\nEND:VCALENDAR\n"
    )
    for text in (first, first.replace(OWN_ZONE, "")):
        found = read_invitation(text)
        assert found is not None
        assert (found.starts, found.time_zone) == ("2026-03-03T14:00:00", "Ours")


@pytest.mark.parametrize(
    "text", ["", "BEGIN:VEVENT", "BEGIN:VEVENT\nEND:VCALENDAR", "BEGIN:VEVENT\nx\nEND:VEVENT", "END:VEVENT"]
)
def test_what_is_no_calendar_is_left(text: str) -> None:
    assert read_invitation(text) is None
