"""Find accepted mail whose wake-up was lost, whose worker died, or whose time to try again has come."""

from apps.inbound.ingest import is_anything_due
from apps.inbound.wakeups import INGEST


def sweep_received() -> int:
    """Wake a worker when mail is due.

    Answers 0 whatever it finds, for a clock asks again at once after "something": nobody has woken by then.
    """
    if is_anything_due():
        INGEST.call()
    return 0
