"""When to send: moments a person picks, on the clock on their wall.

Twice a year that clock jumps. A time that happens twice (the hour that is repeated in autumn) means the first of the
two; one that never happens (the hour that is left out in spring) means as long after midnight as it says, which the
clock then shows an hour later. What was chosen is always told back with its zone.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

MORNING = time(8)
EVENING = time(18)
LATEST_FOR_THIS_EVENING = time(17)
MONDAY = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """A moment in words, and as the form sends it: on the person's clock, without a zone."""

    label: str
    value: str


def choices(now: datetime) -> list[Choice]:
    """This evening, tomorrow morning, Monday morning: what of these is still to come and not said twice."""
    local = timezone.localtime(now)
    today = local.date()
    tomorrow = today + timedelta(days=1)
    monday = today + timedelta(days=(MONDAY - today.weekday()) % 7 or 7)
    moments = (
        [(_("This evening"), datetime.combine(today, EVENING))]
        if local.time() < LATEST_FOR_THIS_EVENING
        else []
    )
    moments.append((_("Tomorrow morning"), datetime.combine(tomorrow, MORNING)))
    if monday != tomorrow:
        moments.append((_("Monday morning"), datetime.combine(monday, MORNING)))
    return [
        Choice(f"{name}, {told(timezone.make_aware(moment))}", moment.isoformat(timespec="minutes"))
        for name, moment in moments
    ]


def read_moment(typed: str) -> datetime | None:
    """A moment on the person's clock (or, with an offset, anywhere); None for what is none."""
    try:
        moment = datetime.fromisoformat(typed.strip())
    except ValueError:
        return None
    # `fold` 0: the first of two, and in a gap the offset from before it (PEP 495).
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.get_current_timezone())


def told(moment: datetime) -> str:
    """With its zone: the day, the time, whose clock."""
    # By way of UTC, because a time in a spring gap is only normalised on the way back.
    local = timezone.localtime(moment.astimezone(timezone.get_fixed_timezone(0)))
    return f"{date_format(local, 'D j M, H:i')} {local:%Z}"
