"""A process that the stack started, its output, and its end.

Each child leads a session of its own, so that Ctrl-C in the terminal reaches only the supervisor, which
drains in order. Each asks the kernel to be killed when its parent dies (PR_SET_PDEATHSIG), so that nothing
outlives a supervisor killed with -9; what a child itself has forked is found by `orphans` at the next start.
"""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from signal import Signals
from typing import IO

from mailplatform.embedded.log import Log

# Read from /proc by `orphans`: whose child this is.
MARK = "MAILPLATFORM_STACK"

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded before any fork: the child may not allocate much


class Child:
    """One running command. Made by the main thread only: the death signal follows the thread that forked."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Log,
        cwd: Path,
        env: Mapping[str, str],
        user: pwd.struct_passwd | None = None,
        on_screen: bool = False,
        stdin_text: str = "",
    ) -> None:
        """Start the command; as `user`, with none of our groups, when one is given. Raises OSError."""
        self.name = name
        self.started_at = time.monotonic()
        parent = os.getpid()

        def prepare() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before the request was in place
                os._exit(1)
            # The supervisor waits for its signals blocked; a child that inherited that could not be drained.
            signal.pthread_sigmask(signal.SIG_SETMASK, ())

        self._process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Runs after the change of user, which is as it must be: changing user clears the death signal.
            preexec_fn=prepare,  # noqa: PLW1509 - calls only what was loaded before
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise AssertionError("both were asked to be pipes")
        pump = partial(self._pump_output, stdout, log, on_screen=on_screen)
        self._pump = threading.Thread(target=pump, name=f"log of {name}", daemon=True)
        self._pump.start()
        self._send_input(stdin, stdin_text)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status (negative: the signal that ended it), or None while it runs."""
        return self._process.poll()

    @property
    def is_running(self) -> bool:
        return self.status is None

    def describe_end(self) -> str:
        status = self.status
        if status is None:
            return "is still running"
        return f"was ended by {Signals(-status).name}" if status < 0 else f"ended with status {status}"

    def send(self, number: Signals) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within `seconds`. The last of its output is in the log then."""
        try:
            self._process.wait(max(seconds, 0))
        except subprocess.TimeoutExpired:
            return False
        self._pump.join(timeout=1)  # longer only where something it forked still holds the pipe
        return True

    def stop(self, number: Signals, *, grace_seconds: float) -> None:
        """Ask with `number`, wait, then kill whatever is left of its session."""
        self.send(number)
        if not self.wait(grace_seconds):
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the process and whatever it forked in its process group, and wait for its end."""
        if self.is_running:
            os.killpg(self.pid, signal.SIGKILL)  # it leads its group until we have waited for it
        self.wait(5)

    def _send_input(self, stream: IO[bytes], text: str) -> None:
        with contextlib.suppress(BrokenPipeError), stream:  # it ended already; its status tells why
            stream.write(text.encode())

    def _pump_output(self, stream: IO[bytes], log: Log, *, on_screen: bool) -> None:
        with stream:
            for line in stream:
                log.record(self.name, line.decode(errors="replace").rstrip(), on_screen=on_screen)
