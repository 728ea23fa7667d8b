"""A circuit breaker: a daemon that is away is asked again now and then, and not by everybody at once.

    closed ──▶ open        a call failed: nobody calls for `rest` seconds
    open ──▶ probing       the rest is over: one caller asks whether it lives, which is quick
    probing ──▶ closed     it does
    probing ──▶ open       it does not: the next rest is twice as long, up to a bound

State is this process's own. A dead daemon costs each process one quick question per rest; a hanging one costs the
calls that were already waiting for it their timeout, once.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from apps.screening.errors import ScannerUnavailable

R = TypeVar("R")

FIRST_REST_SECONDS = 1.0
LONGEST_REST_SECONDS = 30.0


class Breaker:
    """Guards calls to one daemon. Safe to share between threads."""

    def __init__(
        self,
        scanner: str,
        *,
        is_alive: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        first_rest_seconds: float = FIRST_REST_SECONDS,
    ) -> None:
        """`is_alive` asks the daemon for a sign of life, quickly, and raises ScannerUnavailable."""
        self._scanner = scanner
        self._is_alive = is_alive
        self._clock = clock
        self._first_rest = first_rest_seconds
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0
        self._probing = False
        self._trouble = ""

    def call(self, work: Callable[[], R]) -> R:
        """What `work` returns. Raises ScannerUnavailable, from `work` or, while open, without asking."""
        if self._must_probe():
            self._probe()
        try:
            result = work()
        except ScannerUnavailable as error:
            self._fail(error)
            raise
        self._succeed()
        return result

    def _must_probe(self) -> bool:
        with self._lock:
            if not self._failures:
                return False
            if self._probing or self._clock() < self._open_until:
                raise ScannerUnavailable(self._scanner, self._trouble)
            self._probing = True
            return True

    def _probe(self) -> None:
        try:
            self._is_alive()
        except ScannerUnavailable as error:
            self._fail(error)
            raise
        except BaseException:
            with self._lock:
                self._probing = False
            raise
        self._succeed()

    def _fail(self, error: ScannerUnavailable) -> None:
        with self._lock:
            # Many calls may fail of one outage: it is counted once.
            if self._probing or self._clock() >= self._open_until:
                self._failures += 1
                rest = self._first_rest * 2 ** min(self._failures - 1, 16)
                self._open_until = self._clock() + min(rest, LONGEST_REST_SECONDS)
            self._probing = False
            self._trouble = error.public

    def _succeed(self) -> None:
        with self._lock:
            self._failures, self._probing, self._open_until = 0, False, 0.0
