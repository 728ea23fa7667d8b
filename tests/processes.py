"""The product's own processes, over this test's database, for tests that kill, pause and stop them."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from django.db import connection

from mailplatform.environment import PROJECT_ROOT
from tests.polling import wait_until

READY_SECONDS = 90


def over_this_database(**environment: str) -> dict[str, str]:
    """The tests' own environment and what is given, for a program that works on this test's database."""
    database = connection.settings_dict
    password = quote(str(database["PASSWORD"]), safe="")
    place = f"{database['HOST']}:{database['PORT']}/{database['NAME']}"
    url = f"postgresql://{database['USER']}:{password}@{place}"
    return os.environ | environment | {"DATABASE_URL": url}  # noqa: TID251


class ProductProcess:
    """`python ARGUMENTS`; in a `with`, ready when its log says so, and killed at the end."""

    def __init__(self, *arguments: str, ready: str, **environment: str) -> None:
        self._ready = ready
        self._log = tempfile.NamedTemporaryFile("w+", suffix=".log")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT_ROOT,
            env=over_this_database(**environment),
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        try:
            wait_until(self._is_ready_or_over, READY_SECONDS, what=self._ready)
            assert self.is_running, self.log()
        except BaseException:
            self.kill()
            raise
        return self

    def _is_ready_or_over(self) -> bool:
        return self._ready in self.log() or not self.is_running

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        return Path(self._log.name).read_text()

    def kill(self) -> None:
        """SIGKILL: no farewell of any kind."""
        self._process.kill()
        self._process.wait(10)

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self._process.terminate()
        return self._process.wait(20)
