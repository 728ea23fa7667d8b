"""Time that a test lets pass: an event loop whose clock jumps, so that what waits for minutes is tried in a moment.

Sockets, threads and PostgreSQL stay as they are; only what asyncio itself waits for (time-outs, sleeps) comes due.
"""

import asyncio
import selectors
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVarTuple

QUIET_SECONDS = 0.004
Given = TypeVarTuple("Given")


class SimulatedLoop(asyncio.SelectorEventLoop):
    """The usual loop, ahead of time by what was let pass."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        super().__init__(selector)
        self._ahead = 0.0
        self._stands_at: float | None = None
        self._sleeps = Counter[float]()

    def time(self) -> float:
        return (super().time() if self._stands_at is None else self._stands_at) + self._ahead

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """From any thread. Only what is let pass passes, however long the machine takes over it."""
        self._stands_at = super().time()
        try:
            yield
        finally:
            self._stands_at = None

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Given], object],
        *args: *Given,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self._sleeps[delay] += 1
        return super().call_later(delay, callback, *args, context=context)

    def sleeps_of(self, seconds: float) -> int:
        """From any thread. How often somebody began to sleep for just so long."""
        return self._sleeps[seconds]

    def let_pass(self, seconds: float) -> None:
        """From any thread. Passes for those who sleep already: see `sleeps_of`."""
        self.call_soon_threadsafe(self._jump, seconds)

    def _jump(self, seconds: float) -> None:
        self._ahead += seconds


class JumpingLoop(SimulatedLoop):
    """Its time stands still, and goes to the next moment that anybody sleeps until when `all_wait` says so and no
    socket has anything to say. So however slow the machine is, the same takes as long.
    """

    def __init__(self) -> None:
        super().__init__(_Jumping(self))
        self.all_wait: Callable[[], bool] = lambda: False

    def time(self) -> float:
        return self._ahead


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Rather than wait for so long, let the time pass."""
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        events = super().select(QUIET_SECONDS)
        if not events and self._loop.all_wait():
            self._loop._jump(timeout)
        return events


@contextmanager
def running(work: Coroutine[Any, Any, None]) -> Iterator[SimulatedLoop]:
    """`work` in a thread of its own, on a loop whose time the test has in hands; at the end it must be done."""
    loop = SimulatedLoop()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(work)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            failed.append(error)

    thread = threading.Thread(target=run, name="simulated-time")
    thread.start()
    yield loop
    thread.join(30)
    assert not thread.is_alive(), "it does not end"
    if failed:
        raise failed[0]
