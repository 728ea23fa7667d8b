"""Times within sentences: kept in UTC, told on the asker's clock.

A reason is written once, by a worker or a submission, and read by people in several places. So the times in our own
words are kept whole and in one form, `2026-03-02 10:02:14 UTC`, and each reader's clock takes their place. What a
server said stays as it was said.
"""

import re
from datetime import UTC, datetime

from django.utils import timezone
from django.utils.formats import date_format

_FORM = "%Y-%m-%d %H:%M:%S UTC"
# After the words that ours stand after: a server that happens to write this form keeps its own.
_KEPT = re.compile(r"(?<=since |until )\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\b")


def kept(moment: datetime) -> str:
    """A moment as it is written into a reason, after "since" or "until"."""
    return moment.astimezone(UTC).strftime(_FORM)


def clock(at: datetime, now: datetime) -> str:
    """The time alone on the same day, otherwise with its day (and its year, unless it is this one); on the asker's
    clock, which it names.
    """
    local, today = timezone.localtime(at), timezone.localdate(now)
    if local.date() == today:
        return f"{local:%H:%M:%S %Z}"
    day = "D j M" if local.year == today.year else "D j M Y"
    return f"{date_format(local, f'{day}, H:i')} {local:%Z}"


def on_the_clock(reason: str, now: datetime) -> str:
    """A reason with the times that we wrote into it on the asker's clock."""

    def local(found: re.Match[str]) -> str:
        return clock(datetime.strptime(found[0], _FORM).replace(tzinfo=UTC), now)

    return _KEPT.sub(local, reason)
