"""What works in a process until nothing is due: at most one of each name, on Dramatiq's event loop.

A wake-up that finds its resident at work only lets it know that there is more. When the process is told to stop, so
are its residents, before the worker's threads are; what they have in hand is theirs to bring to an end.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import dramatiq
from dramatiq.middleware import Middleware


class Resident(Protocol):
    """Made, run, woken and stopped on one event loop."""

    @property
    def is_woken(self) -> bool:
        """Whether a wake-up came that it has not looked after."""

    async def run(self) -> None:
        """Work until nothing is due, or until it is stopped."""

    def wake(self) -> None: ...

    def stop(self) -> None:
        """Take nothing new."""


class Residents(Middleware):
    """This process's residents, each made anew when it is needed."""

    def __init__(self) -> None:
        self._running: dict[str, Resident] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    def before_worker_boot(self, broker: dramatiq.Broker, worker: Any) -> None:
        self._stopping = False

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        self._stopping = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop_all)

    def _stop_all(self) -> None:
        for resident in self._running.values():
            resident.stop()

    async def work(self, name: str, make: Callable[[], Resident]) -> None:
        """Do what is due, or let the one that is at it know that there is more."""
        running = self._running.get(name)
        if running is not None:
            running.wake()
            return
        self._loop = asyncio.get_running_loop()
        look_again = True
        while look_again and not self._stopping:
            resident = self._running[name] = make()
            try:
                await resident.run()
            finally:
                del self._running[name]
            look_again = resident.is_woken


residents = Residents()
dramatiq.get_broker().add_middleware(residents)
