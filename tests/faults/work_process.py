"""`manage.py work` as a process of its own, to be killed, paused and stopped."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from apps.outbound.models import Delivery
from apps.outbound.sweeper import sweep_deliveries


def poll(condition: Callable[[], bool], *, what: str, timeout: float = 90) -> None:
    """Wait until `condition` holds; fail the test, saying what was waited for, when it does not in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s in vain: {what}"
        time.sleep(0.05)


@dataclass
class WorkProcess:
    """One worker. Its log is kept for the test to read."""

    process: "subprocess.Popen[bytes]"
    log_path: Path

    def wait_ready(self) -> None:
        poll(lambda: "work_ready" in self.log(), what="the worker is ready")

    def kill(self) -> None:
        """SIGKILL: no farewell of any kind."""
        self.process.kill()
        self.process.wait(10)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(20)

    def log(self) -> str:
        return self.log_path.read_text()


@contextmanager
def worker(folder: Path, relay_url: str) -> Iterator[WorkProcess]:
    """A running worker on this test's database; whatever is left of it is killed at the end."""
    running = start_worker(folder, relay_url, "manage.py", "work")
    try:
        yield running
    finally:
        running.kill()


def start_worker(folder: Path, relay_url: str, *arguments: str) -> WorkProcess:
    """A worker on this test's database, which the caller must kill."""
    path = folder / f"work-{time.monotonic_ns()}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            # Everything else is inherited from the tests' own environment.
            [
                "env",
                f"DATABASE_URL={database_url()}",
                f"RELAY_URL={relay_url}",
                "DJANGO_SETTINGS_MODULE=mailplatform.settings",
                sys.executable,
                *arguments,
            ],
            cwd=settings.BASE_DIR,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return WorkProcess(process, path)


def database_url() -> str:
    database = connection.settings_dict
    password = quote(str(database["PASSWORD"]), safe="")
    return (
        f"postgresql://{database['USER']}:{password}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    )


def let_leases_lapse() -> None:
    """What a minute does to the leases of a worker that is dead or asleep."""
    Delivery.objects.filter(state="sending").update(lease_expires_at=timezone.now())


def sweep_until(condition: Callable[[], bool], *, what: str, timeout: float = 90) -> None:
    """Sweep, as the schedule process does, until `condition` holds. PostgreSQL may be away meanwhile."""

    def swept() -> bool:
        try:
            sweep_deliveries()
            return condition()
        except (DatabaseError, InterfaceError):
            connection.close()
            return False

    poll(swept, what=what, timeout=timeout)


def counts() -> dict[str, int]:
    """How many deliveries are in each state."""
    found: dict[str, int] = {}
    for state in Delivery.objects.order_by().values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found
