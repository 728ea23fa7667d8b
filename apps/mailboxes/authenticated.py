"""What rooms above conclude from what was found out about a message's sender (`Message.authentication`)."""

from collections.abc import Mapping
from typing import Any


def is_forged(authentication: Mapping[str, Any] | None) -> bool:
    """Whether the domain in From says that this mail is not from it: DMARC failed (RFC 7489 §6.6.2). False where that
    was not looked at, or could not be; and where a forwarder trusted here says that it passed there (RFC 8617), which
    proves nothing, and makes it no forgery either.
    """
    found = authentication or {}
    failed = found.get("dmarc", {}).get("result") == "fail"
    return bool(failed and not found.get("arc", {}).get("vouched_by"))


def was_left_open(authentication: Mapping[str, Any] | None) -> bool:
    """Whether DNS, or a failure of ours, left open who sent it: nothing was concluded, and asking again may tell."""
    return bool((authentication or {}).get("dmarc", {}).get("result") == "temperror")
