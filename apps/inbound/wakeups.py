"""Tell the workers that mail waits, without making the sender wait for Redis.

One thread of the process sends the wake-ups. A burst of mail needs one every few milliseconds, not one a message,
because a worker that is awake takes all there is; the last request of a burst is never dropped, so a message that comes
while a worker is busy still wakes another. What is lost here (Redis away, process killed) the sweeper finds.
"""

import threading

from apps.events.wakeups import WakeUp

INTERVAL_SECONDS = 0.02
INGEST = WakeUp("inbound", "ingest")
READ_AGAIN = WakeUp("inbound", "read_again")


class WakeUps:
    """Coalesces requests. The thread starts with the first one."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def request(self) -> None:
        """Wake a worker soon; returns at once."""
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
            INGEST.send()
            pause.wait(INTERVAL_SECONDS)


wake_ups = WakeUps()
