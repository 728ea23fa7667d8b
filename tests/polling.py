"""Waiting for what another thread, process or server does."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 90, *, what: str = "it") -> None:
    """Look again and again until the condition holds; fails the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:.0f} s"
        time.sleep(0.02)
