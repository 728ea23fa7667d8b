"""Clocks: small duties that must be done again and again, by one process at a time.

Any number of schedule processes may run. Whoever holds an advisory lock in PostgreSQL leads and lets its clocks tick;
the lock ends with its connection, so a leader that dies or loses the database is followed within `ELECTION_SECONDS`.
Every duty is safe to do twice: between losing the connection and noticing it, two may lead.

Each clock has a thread of its own, so that an object store that answers slowly never delays the sweeper.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from redis.exceptions import RedisError

from apps.blobs.errors import ObjectStoreUnavailable

log = structlog.get_logger(__name__)

LEADER_LOCK = 0x1EADE5
ELECTION_SECONDS = 1.0
BACKOFF_SECONDS = 5.0

AWAY = (DatabaseError, InterfaceError, RedisError, ObjectStoreUnavailable)


@dataclass(frozen=True, slots=True)
class Clock:
    """A duty and how often. `work` answers how much it did: after `batch` or more it is asked again at once.

    What is cheaper done together has a larger batch: under a steady load it would otherwise be asked all the time, and
    do one or two in each round.
    """

    name: str
    every_seconds: float
    work: Callable[[], int]
    batch: int = 1


class Schedule:
    """The clocks of one process."""

    def __init__(self, clocks: Sequence[Clock]) -> None:
        self._clocks = clocks
        self._leading = threading.Event()
        self._stopping = threading.Event()
        self._seen_at = time.monotonic()
        self._threads = [
            threading.Thread(target=self._tick, args=[clock], name=clock.name, daemon=True)
            for clock in clocks
        ]
        self._threads.append(threading.Thread(target=self._stand_for_election, name="election", daemon=True))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, grace_seconds: float) -> None:
        """Let each clock finish its tick, for at most `grace_seconds` together."""
        self._stopping.set()
        deadline = time.monotonic() + grace_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def is_well(self) -> bool:
        """Every clock lives, and the election was looked at within the last ten seconds."""
        return all(thread.is_alive() for thread in self._threads) and time.monotonic() - self._seen_at < 10

    def _stand_for_election(self) -> None:
        while not self._stopping.is_set():
            try:
                self._hold_lock()
            except AWAY as error:
                log.warning("leader_lost_database", error=type(error).__name__)
            finally:
                self._leading.clear()
                connection.close()
            self._seen_at = time.monotonic()
            self._stopping.wait(ELECTION_SECONDS)

    def _hold_lock(self) -> None:
        """Lead for as long as this connection holds the lock; return when another process has it."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK])
            row = cursor.fetchone()
            if row is None or not row[0]:
                return
            log.info("schedule_leads")
            self._leading.set()
            try:
                while not self._stopping.wait(ELECTION_SECONDS):
                    cursor.execute("SELECT 1")
                    self._seen_at = time.monotonic()
            finally:
                self._leading.clear()
            # The pool keeps the connection, and with it the lock, unless told to let go.
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LEADER_LOCK])

    def _tick(self, clock: Clock) -> None:
        while not self._stopping.is_set():
            if not self._leading.wait(ELECTION_SECONDS):
                continue
            if self._work_once(clock) < clock.batch:
                self._stopping.wait(clock.every_seconds)

    def _work_once(self, clock: Clock) -> int:
        try:
            return clock.work()
        except AWAY as error:
            log.warning("clock_waits", clock=clock.name, error=type(error).__name__)
            self._stopping.wait(BACKOFF_SECONDS)
        except Exception:
            # A clock that ends would stop its duty silently until the next start; tell, and go on.
            log.exception("clock_failed", clock=clock.name)
            self._stopping.wait(BACKOFF_SECONDS)
        finally:
            close_old_connections()
        return 0
