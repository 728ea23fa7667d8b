"""`make run`: bring up servers, database, demo and processes; keep them up; take them down in order.

Order up: folder lock, leftovers of a killed run, public ports, servers (side by side), migrations and demo,
processes, `ready:`. Until then any failure is one line, and everything is stopped again. Afterwards what dies
is restarted, with a growing pause while it keeps dying.

Order down, on SIGTERM, SIGINT or a hang-up, however often they come: the product's processes drain together,
then the sink, then the servers. All of it takes less than ten seconds; what has not drained by its turn is
killed, which every part survives.

Signals are blocked and waited for, never handled: no step can be torn in the middle, and a second one is only
noticed.
"""

import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from mailplatform.embedded.certificate import ensure_certificate
from mailplatform.embedded.errors import StackFailed, StopRequested
from mailplatform.embedded.folder import FolderLock
from mailplatform.embedded.log import Log
from mailplatform.embedded.outside import check_outside_servers
from mailplatform.embedded.ports import ensure_free
from mailplatform.embedded.processes import PREPARATIONS, PROCESSES, Command, Process
from mailplatform.embedded.readiness import WebReadiness
from mailplatform.embedded.stack import Stack, end_leftovers
from mailplatform.environment import Environment, load_environment

_READY_SECONDS = 120.0
_POLL_SECONDS = 0.1
_DRAIN_SECONDS = 5.5
_SINK_SECONDS = 0.5
_TRIES_BEFORE_READY = 3
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0


class StopSignals:
    """SIGTERM, SIGINT and SIGHUP, held back until somebody waits for them."""

    def __init__(self) -> None:
        numbers = {signal.SIGTERM, signal.SIGINT}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means it
            numbers.add(signal.SIGHUP)
        self._numbers = numbers
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def pause(self, seconds: float) -> None:
        """Wait; raises StopRequested as soon as one has arrived, before or during the wait."""
        if signal.sigtimedwait(self._numbers, seconds) is not None:
            raise StopRequested


class Restartable(Protocol):
    """A server or a process."""

    @property
    def is_running(self) -> bool: ...
    def start(self) -> None: ...
    def describe_end(self) -> str: ...
    def explain(self) -> str: ...


@dataclass
class Watch:
    """How often one server or process has died lately, and when it may be started again."""

    title: str
    subject: Restartable
    deaths: int = 0
    started_at: float = 0.0
    restart_at: float | None = None

    def look(self, now: float, log: Log) -> None:
        """Notice a death, and restart once its pause is over. Times are the monotonic clock's."""
        if self.subject.is_running:
            return
        if self.restart_at is None:
            self.deaths = 1 if now - self.started_at > _STEADY_SECONDS else self.deaths + 1
            pause = min(_FIRST_PAUSE_SECONDS * 2 ** (self.deaths - 1), _LONGEST_PAUSE_SECONDS)
            self.restart_at = now + pause
            log.say(f"{self.title} {self.subject.describe_end()}; restarting it in {pause:g} s")
        elif now >= self.restart_at:
            self.restart_at, self.started_at = None, now
            try:
                self.subject.start()
            except StackFailed as error:
                log.say(str(error))  # counted as the next death


class Supervisor:
    """One run of the whole stack on one data folder."""

    def __init__(
        self,
        environment: Environment,
        log: Log,
        *,
        preparations: Sequence[Command] = PREPARATIONS,
        processes: Sequence[Command] = PROCESSES,
    ) -> None:
        """`environment` as `read_environment` gives it. The last of `processes` is drained last."""
        self._environment = environment
        self._data_dir = environment.data_dir
        self._log = log
        self._signals = StopSignals()
        self._preparations = [Process(command, self._data_dir, log) for command in preparations]
        self._processes = [Process(command, self._data_dir, log) for command in processes]
        self._stack: Stack | None = None

    def run(self) -> None:
        """Run until a signal asks to stop. Raises StackFailed or EnvironmentInvalid when it cannot come up.

        Whichever way it ends, nothing that it started is left.
        """
        with FolderLock(self._data_dir):
            try:
                self._bring_up()
                self._watch()
            except StopRequested:
                self._log.say("stopping: draining the processes, then the servers")
            finally:
                self._take_down()
        self._log.say("stopped")

    def _bring_up(self) -> None:
        if leftovers := end_leftovers(self._data_dir):
            self._log.say(f"an earlier run was killed: ended what it left, {leftovers} in number")
        self._check_ports()
        check_outside_servers(self._environment)
        self._stack = Stack(self._environment, self._log)
        environment = load_environment()
        if not self._environment.smtp_tls_certificate:
            ensure_certificate(self._data_dir, environment.mail_hostname or "localhost", datetime.now(UTC))
        self._log.say(f"starting; data are in {self._data_dir}, logs in {self._log.path_of('*')}")
        self._stack.start()
        for server in (self._stack.postgres, self._stack.valkey):
            if server:
                server.wait_ready(self._signals.pause)
        self._log.say("bringing the database to what the processes expect")
        for preparation in self._preparations:
            self._complete(preparation)
        self._stack.wait_ready(self._signals.pause)
        self._log.say("starting the processes")
        for process in self._processes:
            process.start()
        self._wait_until_ready(WebReadiness(environment))
        self._announce(environment)

    def _check_ports(self) -> None:
        given = self._environment
        ensure_free("WEB_PORT", given.web_host, given.web_port)
        ensure_free("SMTP_PORT", given.smtp_host, given.smtp_port)
        ensure_free("SUBMISSION_PORT", given.smtp_host, given.submission_port)
        ensure_free("SINK_PORT", "127.0.0.1", given.sink_port)

    def _complete(self, preparation: Process) -> None:
        preparation.start(on_screen=False)
        while not preparation.has_succeeded():
            self._signals.pause(_POLL_SECONDS)

    def _watches(self) -> Iterator[Watch]:
        now = time.monotonic()
        for server in self._stack.servers if self._stack else []:
            yield Watch(server.title, server, started_at=now)
        for process in self._processes:
            yield Watch(process.title, process, started_at=now)

    def _wait_until_ready(self, readiness: WebReadiness) -> None:
        watches = list(self._watches())
        deadline = time.monotonic() + _READY_SECONDS
        while not readiness.is_ready():
            for watch in watches:
                watch.look(time.monotonic(), self._log)
                if watch.deaths >= _TRIES_BEFORE_READY:
                    times = f"{watch.title} ended {watch.deaths} times before it was ready"
                    raise StackFailed(f"{times}: {watch.subject.explain()}")
            if time.monotonic() > deadline:
                raise readiness.fail(_READY_SECONDS)
            self._signals.pause(_POLL_SECONDS)

    def _announce(self, environment: Environment) -> None:
        for line in _demo_lines(self._data_dir / "demo.json"):
            self._log.show(line)
        self._log.announce(f"ready: {environment.web_origin}")

    def _watch(self) -> None:
        watches = list(self._watches())
        while True:
            for watch in watches:
                watch.look(time.monotonic(), self._log)
            self._signals.pause(_POLL_SECONDS)

    def _take_down(self) -> None:
        for preparation in self._preparations:
            preparation.request_end()
            preparation.stop(grace_seconds=_SINK_SECONDS)
        *draining, sink = self._processes
        self._drain(draining, _DRAIN_SECONDS)
        self._drain([sink], _SINK_SECONDS)
        if self._stack:
            self._stack.stop()

    def _drain(self, processes: Sequence[Process], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for process in processes:
            process.request_end()
        for process in processes:
            if not process.stop(grace_seconds=deadline - time.monotonic()):
                self._log.say(f"{process.title} did not drain within {seconds:g} s and was killed")


def _demo_lines(path: Path) -> Iterator[str]:
    """How to sign in to the demo organisation, where there is one."""
    if not path.exists():
        return
    demo = json.loads(path.read_text())
    yield ""
    yield f"  Open {demo['web']} and sign in as one of:"
    for user in demo["users"]:
        # A terminal forgets; what a pipe leads to is a log, and secrets never reach logs.
        password = user["password"] if sys.stdout.isatty() else "password in demo.json"
        yield f"    {user['email']:<28} {password}   ({user['role']})"
    yield f"  Mail to support@{demo['domain']} goes in at {demo['smtp']}; answers land in {path.parent / 'sink'}."
    if demo.get("submission"):
        yield f"  Programs send at {demo['submission']}: STARTTLS, user name apikey, the key in {path.name}."
    yield f"  Keys and addresses for programs: {path}"
    yield ""
