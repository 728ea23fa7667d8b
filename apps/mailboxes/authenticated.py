"""What rooms above conclude from what was found out about a message's sender (`Message.authentication`)."""

from collections.abc import Mapping
from typing import Any


def is_forged(authentication: Mapping[str, Any] | None) -> bool:
    """Whether the domain in From says that this mail is not from it: DMARC failed (RFC 7489 §6.6.2). False where that
    was not looked at, or could not be, and where a forwarder who is trusted here says that it passed there.
    """
    found = authentication or {}
    vouched_by = found.get("arc", {}).get("vouched_by", "")
    return bool(found.get("dmarc", {}).get("result") == "fail" and not vouched_by)
