"""What the three embedded servers have in common: they are started, waited for, stopped and restarted."""

import abc
import pwd
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mailplatform.embedded.child import MARK, Child
from mailplatform.embedded.errors import StackFailed
from mailplatform.embedded.log import Log

_POLL_SECONDS = 0.05
Pause = Callable[[float], None]


class EmbeddedServer(abc.ABC):
    """One server of the stack. It listens on loopback only, and asks for the password in `embedded.json`.

    `prepare` may be called again and then changes nothing; `start` returns at once, `wait_ready` when it
    answers.
    """

    name: str
    title: str
    start_timeout_seconds = 30.0

    def __init__(self, data_dir: Path, log: Log) -> None:
        self._data_dir = data_dir
        self._log = log
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._child is None:
            raise StackFailed(f"{self.title} is not started")
        return self._child.pid

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.is_running

    @abc.abstractmethod
    def prepare(self) -> None:
        """Make folders and configuration. Raises StackFailed."""

    @abc.abstractmethod
    def spawn(self) -> Child:
        """Start the server's process."""

    @abc.abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers a client with the password. Raises StackFailed where waiting cannot help."""

    @abc.abstractmethod
    def end(self, child: Child) -> None:
        """Stop the process, by its own signal and grace."""

    def complete(self) -> None:  # noqa: B027 - most servers need nothing
        """What a new server needs once it answers; called after each start, so it must be repeatable."""

    def execute(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        user: pwd.struct_passwd | None = None,
        stdin_text: str = "",
        **environment: str,
    ) -> Child:
        """Run one of the server's programs with `environment` alone: nothing of ours steers it."""
        env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", MARK: str(self._data_dir), **environment}
        return Child(self.name, command, log=self._log, cwd=cwd, env=env, user=user, stdin_text=stdin_text)

    def start(self) -> None:
        self.prepare()
        try:
            self._child = self.spawn()
        except OSError as error:
            raise StackFailed(f"{self.title} cannot be started: {error}") from error

    def wait_ready(self, pause: Pause = time.sleep) -> None:
        """Return when the server answers. Raises StackFailed when it ended, or took too long."""
        deadline = time.monotonic() + self.start_timeout_seconds
        while not self.is_ready():
            if self._child is None or not self._child.is_running:
                raise StackFailed(f"{self.title} {self.describe_end()}: {self.explain()}")
            if time.monotonic() > deadline:
                seconds = f"{self.start_timeout_seconds:.0f} s"
                raise StackFailed(f"{self.title} did not answer within {seconds}: {self.explain()}")
            pause(_POLL_SECONDS)
        self.complete()

    def stop(self) -> None:
        """Stop the server cleanly; one that is not running is left as it is."""
        if self._child is not None and self._child.is_running:
            self.end(self._child)

    def kill(self) -> None:
        """End the server as a power cut of its process would."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Stop, start on the same port with the same data, and wait until it answers."""
        self.stop()
        self.start()
        self.wait_ready()

    def describe_end(self) -> str:
        return self._child.describe_end() if self._child else "is not started"

    def explain(self) -> str:
        """Its last words, and where the others are."""
        return self._log.last_words(self.name)
