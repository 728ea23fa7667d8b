"""A limit's refusal as a sentence with its numbers.

"Relay mail-1 allows 30 messages a minute; 30 were sent since 2026-03-02 10:02:14 UTC." Bulk mail is told what is left
to it.

The words are kept as the delivery's reason, like a server's answer, so they are in one language, and their times in the
form that `clocks` tells on each reader's own.
"""

from datetime import UTC, datetime
from typing import Any

from apps.outbound.clocks import kept
from apps.outbound.limits.bounds import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Demand

_WINDOWS = {
    SECOND_MS: "a second",
    MINUTE_MS: "a minute",
    HOUR_MS: "an hour",
    DAY_MS: "in 24 hours",
}
BEING_COUNTED = (
    "What was sent lately is being counted from the record of attempts, so that no limit is exceeded."
)
KEEPS_TO_ITS_SHARE = (
    "Redis, where limits are counted, does not answer: each worker process keeps to its share of {limit}."
)


def refusal(demand: Demand, answer: dict[str, Any]) -> str:
    """Why `demand` stands in the way, from the script's answer."""
    limit, whom = answer.get("limit", 0), " bulk mail" if demand.is_bulk else ""
    match answer["why"]:
        case "window":
            stands = _of_window(answer, whom)
        case "gap":
            stands = f"is sent{whom or ' to'} at most once in {_seconds(limit)}"
        case "connections":
            stands = f"allows{whom} {_count(limit, 'connection')} at once, and all are in use"
        case "pause":
            stands = f"is paused until {clock(answer['wait'])}: {answer['because']}"
        case "pace":
            stands = f"is slowed to {limit:.3g} messages a minute for now: {answer['because']}"
        case "lines":
            stands = f"is slowed to {_count(int(limit), 'connection')} for now: {answer['because']}"
        case why:
            raise AssertionError(why)
    return f"{demand.name} {stands}."


def share_of(demand: Demand) -> str:
    """Why `demand` stands in the way while Redis is away."""
    return KEEPS_TO_ITS_SHARE.format(limit=f"the limit of {demand.name[:1].lower()}{demand.name[1:]}")


def allowance(length_ms: int, limit: int) -> str:
    """`30 messages a minute`."""
    return f"{_count(limit, 'message')} {_WINDOWS.get(length_ms) or f'in {_seconds(length_ms)}'}"


def clock(moment_ms: float) -> str:
    return kept(datetime.fromtimestamp(moment_ms / 1000, UTC))


def _of_window(answer: dict[str, Any], whom: str) -> str:
    allows = f"allows{whom} {allowance(answer['window'], answer['limit'])}"
    used, since = answer["used"], answer.get("since")
    if since is None:
        return f"{allows}; {used} {'is' if used == 1 else 'are'} being sent"
    return f"{allows}; {used} {'was' if used == 1 else 'were'} sent since {clock(since)}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _seconds(milliseconds: int) -> str:
    seconds = milliseconds / 1000
    return "a second" if seconds == 1 else f"{seconds:g} seconds"
