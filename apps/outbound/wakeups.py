"""Telling workers that something is due in a lane."""

from django.db import transaction

from apps.events.wakeups import WakeUp
from apps.outbound.models import Lane


def wake_up(lane: Lane) -> WakeUp:
    return WakeUp("outbound", "deliver", lane.value)


def wake_on_commit(lane: Lane) -> None:
    """Wake a worker once what it should find is committed."""
    transaction.on_commit(wake_up(lane).send)
