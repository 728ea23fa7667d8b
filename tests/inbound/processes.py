"""The product's own processes, over the test database, for tests that kill them."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import dramatiq
from django.db import connection

from apps.inbound.actors import ingest
from mailplatform.embedded.ports import choose_port

ROOT = Path(__file__).parents[2]
READY_SECONDS = 30


def wait_until(condition: Callable[[], object], seconds: float = 30, *, what: str = "it") -> None:
    """Poll until the condition holds; fails the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(0.02)


def database_url() -> str:
    """Of the database this test runs in."""
    settings = connection.settings_dict
    account = f"{settings['USER']}:{settings['PASSWORD']}"
    return f"postgresql://{account}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


class ManagedProcess:
    """`manage.py COMMAND`, ready when its log says so, ended when the block is left."""

    def __init__(self, command: str, *, ready: str, **environment: str) -> None:
        self._log = tempfile.NamedTemporaryFile("w+", prefix=f"{command}-", suffix=".log")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", command],
            cwd=ROOT,
            env=os.environ | environment | {"DATABASE_URL": database_url()},  # noqa: TID251
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        wait_until(lambda: ready in self.log() or self._process.poll() is not None, READY_SECONDS, what=ready)
        assert self._process.poll() is None, self.log()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.last_log = self.log()
        self._log.close()

    def log(self) -> str:
        return Path(self._log.name).read_text()

    def kill(self) -> None:
        """kill -9."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def ends(self) -> int:
        """SIGTERM; the exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(15)


class ReceiveProcess(ManagedProcess):
    """`manage.py receive` on a port of its own."""

    def __init__(self, **environment: str) -> None:
        self.port = choose_port(set())
        super().__init__("receive", ready="receive_ready", SMTP_PORT=str(self.port), **environment)


class Worker:
    """What a work process does for incoming mail, in this process: the real broker, the real actor."""

    def __init__(self, threads: int = 2) -> None:
        self._worker = dramatiq.Worker(
            dramatiq.get_broker(), queues={ingest.queue_name}, worker_threads=threads, worker_timeout=50
        )

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.stop(timeout=15_000)
