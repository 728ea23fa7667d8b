"""Tell the workers that mail waits, without making the sender wait for Redis.

One thread of the process sends the wake-ups. A burst of mail needs one every few milliseconds, not one a message,
because a worker that is awake takes all there is; the last request of a burst is never dropped, so a message that comes
while a worker is busy still wakes another. What is lost here (Redis away, process killed) the sweeper finds.
"""

import threading
import uuid

import structlog
from dramatiq.errors import DramatiqError
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 0.02
CALL = "inbound"


class WakeUps:
    """Coalesces requests. The thread starts with the first one."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._latest: uuid.UUID | None = None
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def request(self, received_id: uuid.UUID) -> None:
        """Wake a worker soon; returns at once."""
        self._latest = received_id
        self._wanted.set()
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="wake-ups", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._latest is not None:
                wake_worker(self._latest)
            pause.wait(INTERVAL_SECONDS)


def wake_worker(received_id: uuid.UUID) -> bool:
    """Ask the workers to ingest what is due, this row first among equals. False when they cannot be told now."""
    from apps.inbound.actors import ingest

    try:
        ingest.send(str(received_id))
    except (DramatiqError, RedisError, OSError) as error:
        log.warning("wake_up_not_sent", error=type(error).__name__)
        return False
    return True


wake_ups = WakeUps()
