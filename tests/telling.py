"""The clocks that tell senders what is late or lost, both at once."""

from datetime import datetime

from apps.outbound.bounces.notices import tell_of_late, tell_of_lost


def tell_senders(now: datetime | None = None) -> int:
    return tell_of_lost(now) + tell_of_late(now)
