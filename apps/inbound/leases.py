"""Keep the leases of what this process is ingesting, for as long as the process lives."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import DatabaseError, connection

log = structlog.get_logger(__name__)

LEASE_SECONDS = 60
RENEWAL_SECONDS = 15

_RENEW = """
UPDATE inbound_receivedmessage SET due_at = now() + make_interval(secs => %(lease)s)
WHERE state = 'ingesting' AND lease_token = ANY(%(tokens)s)
"""


class LeaseKeeper:
    """Renews the kept tokens' leases from one thread, which starts with the first of them.

    A lease that lapsed meanwhile has a new token and is not renewed: its row is another worker's now.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: set[uuid.UUID] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def kept(self, token: uuid.UUID) -> Iterator[None]:
        """Renew this token's lease until the block ends."""
        self.keep(token)
        try:
            yield
        finally:
            self.let_go(token)

    def keep(self, token: uuid.UUID) -> None:
        """Renew this token's lease until it is let go."""
        with self._lock:
            self._tokens.add(token)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()

    def let_go(self, token: uuid.UUID) -> None:
        with self._lock:
            self._tokens.discard(token)

    def renew(self) -> int:
        """Renew every kept lease now; how many rows were still ours."""
        with self._lock:
            tokens = list(self._tokens)
        if not tokens:
            return 0
        try:
            with connection.cursor() as cursor:
                cursor.execute(_RENEW, {"lease": LEASE_SECONDS, "tokens": tokens})
                return int(cursor.rowcount)
        finally:
            connection.close()

    def _run(self) -> None:
        clock = threading.Event()
        while not clock.wait(RENEWAL_SECONDS):
            try:
                self.renew()
            except DatabaseError as error:
                # Four renewals fit into a lease: one that fails is made up for by the next.
                log.warning("lease_not_renewed", error=type(error).__name__)


leases = LeaseKeeper()
