"""Telling workers that something is due. A wake-up that cannot be told is no loss: the sweeper finds the row."""

import structlog
from django.db import transaction
from dramatiq.errors import BrokerError
from redis.exceptions import RedisError

from apps.events.calls import may_call
from apps.outbound.actors import deliver
from apps.outbound.models import Lane

log = structlog.get_logger(__name__)


def wake(lane: Lane) -> None:
    """Wake a worker for a lane now."""
    try:
        deliver.send(lane.value)
    except (BrokerError, RedisError, OSError) as error:
        log.warning("wake_up_not_told", lane=lane.value, error=type(error).__name__)


def call(lane: Lane) -> None:
    """Wake a worker unless one was called a moment ago and nobody came yet."""
    if may_call(f"outbound:{lane}"):
        wake(lane)


def wake_on_commit(lane: Lane) -> None:
    """Wake a worker once what it should find is committed."""
    transaction.on_commit(lambda: wake(lane))
