"""Telling workers that acknowledgements are due. A wake-up that cannot be told is no loss: the sweeper finds it."""

import structlog
from dramatiq.errors import BrokerError
from redis.exceptions import RedisError

from apps.events.calls import may_call

log = structlog.get_logger(__name__)

CALL = "automation"


def wake() -> None:
    """Wake a worker now."""
    from apps.automation.actors import acknowledge

    try:
        acknowledge.send()
    except (BrokerError, RedisError, OSError) as error:
        log.warning("wake_up_not_told", queue=CALL, error=type(error).__name__)


def call() -> None:
    """Wake a worker unless one was called a moment ago and nobody came yet."""
    if may_call(CALL):
        wake()
