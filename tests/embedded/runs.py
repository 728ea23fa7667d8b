"""A supervisor under test, as a process of its own: started, listened to, signalled, and always cleaned up."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailplatform.embedded.orphans import end_processes, find_marked, find_working_in
from mailplatform.embedded.place import find_data
from mailplatform.embedded.ports import choose_port
from mailplatform.environment import PROJECT_ROOT
from tests.polling import wait_until

START_SECONDS = 120.0
PUBLIC_PORTS = ("WEB_PORT", "SMTP_PORT", "SUBMISSION_PORT", "SINK_PORT")


class Run:
    """One run on `data_dir`. `output` grows as lines come."""

    def __init__(self, data_dir: Path, words: list[str], variables: dict[str, str]) -> None:
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=PROJECT_ROOT,
            env={**os.environ, **variables, "MAILPLATFORM_DATA_DIR": str(data_dir)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self.errors = ""
        self._readers = [
            threading.Thread(target=self._read_output),
            threading.Thread(target=self._read_errors),
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in the output; fails when the run ends, or nothing comes in time."""
        wait_until(lambda: re.search(pattern, self.output) or self.process.poll() is not None, START_SECONDS)
        found = re.search(pattern, self.output)
        assert found, f"{pattern!r} did not come:\n{self.output}{self.errors}"
        return found

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = START_SECONDS) -> int:
        """The exit status, once all that was printed is in `output` and `errors`."""
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join()
        return status

    def left_alive(self) -> list[int]:
        """Processes that still belong to this run."""
        return find_marked(self.data_dir) + find_working_in(find_data(self.data_dir) / "data")

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        end_processes(self.left_alive)

    def _read_output(self) -> None:
        assert self.process.stdout
        with self.process.stdout as stream:
            for line in stream:
                self.output += line

    def _read_errors(self) -> None:
        assert self.process.stderr
        with self.process.stderr as stream:
            self.errors = stream.read()


@contextmanager
def start_run(data_dir: Path, *names: str, **variables: str) -> Iterator[Run]:
    """A supervisor over fake processes; when the servers' variables are set, it starts none and is up at once."""
    run = Run(data_dir, ["tests.embedded.fake_stack", *names], {**_public_ports(), **variables})
    try:
        yield run
    finally:
        run.clean_up()


@contextmanager
def start_product(data_dir: Path, **variables: str) -> Iterator[Run]:
    """The whole product on servers of its own, as `make run` starts it."""
    servers = dict.fromkeys(("DATABASE_URL", "REDIS_URL", "S3_ENDPOINT_URL"), "")
    run = Run(data_dir, ["mailplatform.embedded"], {**_public_ports(), **servers, **variables})
    try:
        yield run
    finally:
        run.clean_up()


def _public_ports() -> dict[str, str]:
    return {variable: str(port) for variable, port in zip(PUBLIC_PORTS, choose_ports(4), strict=True)}


def choose_ports(count: int) -> list[int]:
    taken = set[int]()
    return [choose_port(taken) for _ in range(count)]
