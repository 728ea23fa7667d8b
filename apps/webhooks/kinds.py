"""Which events a webhook asks for: `ticket.opened` is one kind, `ticket.*` all of a family, `*` everything.

Kinds are an open list: every room publishes its own, and new ones come. So a well-formed kind that nothing publishes
today is no error.
"""

import re
from collections.abc import Iterable

EVERYTHING = "*"
MAX_KINDS = 50

# Told only to the webhook that is being tested, whatever it asked for.
TESTED = "webhook.tested"

_WANTED = re.compile(r"\*|[a-z][a-z_]{0,30}\.(?:\*|[a-z][a-z_]{0,30})", re.ASCII)


def is_well_formed(wanted: str) -> bool:
    return _WANTED.fullmatch(wanted) is not None


def is_wanted(kind: str, wanted: Iterable[str]) -> bool:
    """Whether an event of this kind is among those asked for."""
    family = kind.partition(".")[0]
    return kind != TESTED and any(one in {EVERYTHING, kind, f"{family}.*"} for one in wanted)
