"""The small servers of our own that a run needs beside the product: the floor, and the world's server."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.session import Session
from mailplatform.embedded.child import Child
from mailplatform.embedded.log import Log
from mailplatform.embedded.ports import choose_port, is_free
from mailplatform.environment import PROJECT_ROOT

_START_SECONDS = 10.0
_GRACE_SECONDS = 2.0


@contextmanager
def running_program(module: str, log: Log) -> Iterator[int]:
    """`python -m mailplatform.bench.MODULE PORT` on a free port of 127.0.0.1, which is given; ended afterwards."""
    port = choose_port(set())
    child = Child(
        module,
        [sys.executable, "-m", f"mailplatform.bench.{module}", str(port)],
        log=log,
        cwd=PROJECT_ROOT,
        env={},
    )
    try:
        wait_listening(child, port, log)
        yield port
    finally:
        if child.is_running:
            child.stop(signal.SIGTERM, grace_seconds=_GRACE_SECONDS)


def wait_listening(child: Child, port: int, log: Log) -> None:
    """Until somebody listens on the port. Raises BenchFailed when the child ends first, or time runs out."""
    deadline = time.monotonic() + _START_SECONDS
    while is_free(port):
        if not child.is_running:
            raise BenchFailed(f"{child.name} {child.describe_end()}: {log.last_words(child.name)}")
        if time.monotonic() > deadline:
            raise BenchFailed(f"{child.name} does not listen on port {port}")
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Mails that the remote server took since it was told to start over; times are the monotonic clock's."""

    count: int
    first_at: float
    last_at: float
    signed: int

    @property
    def rate(self) -> float:
        """Mails per second between the first and the last: how they got going is not part of it."""
        return (self.count - 1) / (self.last_at - self.first_at)


async def start_over(remote_port: int, *, delay_ms: int) -> None:
    """Let the remote server forget what it took, and answer so late from the next connection on."""
    control = await Session.open(remote_port)
    await control.ask(b"XDELAY %d\r\n" % delay_ms)
    await control.close()


async def read_arrivals(control: Session) -> Arrivals:
    (reply,) = await control.ask(b"XTAKEN\r\n")
    _code, count, first_at, last_at, signed = reply.split()
    return Arrivals(int(count), float(first_at), float(last_at), int(signed))


async def read_numbered(control: Session) -> dict[int, float]:
    """When each of the newest thousand mails was taken, by its number."""
    (reply,) = await control.ask(b"XWHEN\r\n")
    return {int(number): float(at) for number, at in (one.split(b"=") for one in reply.split()[1:])}
