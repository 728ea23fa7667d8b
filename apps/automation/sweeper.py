"""Finds acknowledgements whose wake-up was lost or whose worker died. Safe to repeat and to be killed in."""

from apps.automation.acknowledge import ACKNOWLEDGE, is_anything_due


def sweep_acknowledgements() -> int:
    """Wake a worker when something is due. Answers 0 whatever it finds: nobody has woken by then."""
    if is_anything_due():
        ACKNOWLEDGE.call()
    return 0
