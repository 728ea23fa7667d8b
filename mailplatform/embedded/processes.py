"""The product's processes, and the commands that must have ended before they start."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

from mailplatform.embedded.child import MARK, Child
from mailplatform.embedded.errors import StackFailed
from mailplatform.embedded.log import Log
from mailplatform.environment import PROJECT_ROOT


@dataclass(frozen=True)
class Command:
    """A command line, and the name under which the log shows it."""

    name: str
    words: tuple[str, ...]


def _manage(name: str) -> Command:
    return Command(name, (sys.executable, "manage.py", name))


def _module(name: str) -> Command:
    return Command(name, (sys.executable, "-m", f"mailplatform.embedded.{name}"))


# Run to their end, in this order, once PostgreSQL and Valkey answer.
PREPARATIONS = (_module("prepare"),)
# The sink stands last: the stack drains from the front, and a delivery in flight still finds its relay.
PROCESSES = (
    _manage("receive"),
    _manage("work"),
    _manage("schedule"),
    _manage("web"),
    _module("sink"),
)


class Process:
    """One of the product's processes under supervision."""

    def __init__(self, command: Command, data_dir: Path, log: Log) -> None:
        self.name = self.title = command.name
        self._words = command.words
        self._environment = {**os.environ, MARK: str(data_dir), "PYTHONUNBUFFERED": "1"}
        self._log = log
        self._child: Child | None = None

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.is_running

    def start(self, *, on_screen: bool = True) -> None:
        """Raises StackFailed when the command cannot be executed at all."""
        try:
            self._child = Child(
                self.name,
                self._words,
                log=self._log,
                cwd=PROJECT_ROOT,
                env=self._environment,
                on_screen=on_screen,
            )
        except OSError as error:
            raise StackFailed(f"{self.name} cannot be started: {error}") from error

    def has_succeeded(self) -> bool:
        """Whether it ended well; raises StackFailed with its last words when it ended otherwise."""
        if self._child is None or not self._child.wait(0):
            return False
        if self._child.status != 0:
            raise StackFailed(f"{self.name} {self.describe_end()}: {self.explain()}")
        return True

    def describe_end(self) -> str:
        return self._child.describe_end() if self._child else "is not started"

    def explain(self) -> str:
        """Its last words, which usually say why it ended, and where the others are."""
        return self._log.last_words(self.name)

    def request_end(self) -> None:
        """Ask it to drain; `stop` waits."""
        if self._child is not None and self._child.is_running:
            self._child.send(SIGTERM)

    def stop(self, *, grace_seconds: float) -> bool:
        """Wait for a drain that was asked for, then kill. Whether it drained within its grace."""
        if self._child is None or self._child.wait(grace_seconds):
            return True
        self._child.kill()
        return False
