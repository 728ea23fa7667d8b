"""A listener in this process, on a port of its own and an event loop in a thread."""

import asyncio
import threading
from concurrent.futures import Future

import uvloop

from apps.inbound.certificates import Certificates
from apps.inbound.desk import Desk
from apps.inbound.limits import Gate, Limits
from apps.inbound.listener import Listener, open_port
from apps.inbound.rates import Rates
from apps.inbound.service import Service
from apps.inbound.smtp import ListenerKind
from apps.inbound.tally import Tally

START_SECONDS = 10


class Listening:
    """Runs from construction until `stop`."""

    def __init__(
        self,
        limits: Limits,
        certificates: Certificates | None = None,
        service: Service | None = None,
        *,
        requires_tls: bool = False,
        tally: Tally | None = None,
    ) -> None:
        self.gate = Gate(limits)
        kind = ListenerKind(
            service=service or Desk("mx.house.test"),
            gate=self.gate,
            rates=Rates(limits),
            tally=tally,
            hostname="mx.house.test",
            certificates=certificates,
            requires_tls=requires_tls,
        )
        self._listener = Listener(kind, open_port("127.0.0.1", 0))
        self._loop = uvloop.new_event_loop()  # the process's own
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stopped = False
        asyncio.run_coroutine_threadsafe(self._listener.start(), self._loop).result(START_SECONDS)
        self.port = self._listener.port

    def begin_stop(self, grace_seconds: float = 5.0) -> "Future[None]":
        """Drain, without waiting for it."""
        self._stopped = True
        return asyncio.run_coroutine_threadsafe(self._listener.stop(grace_seconds), self._loop)

    def stop(self) -> None:
        """Drain at once, and end the thread."""
        if not self._stopped:
            self.begin_stop(grace_seconds=0.1).result(START_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_SECONDS)
        self._loop.close()
