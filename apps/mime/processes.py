"""A small pool of processes that can be killed, for work on hostile bytes.

`BoundedProcesses` starts workers (`python -m MODULE PARENT_PID MEMORY_BYTES`, see `worker`) when first needed, asks one
of them, and watches the clock. One that overruns its time or its memory is killed and replaced; the next request does
not wait for it. The parent trusts a worker less than itself, so answers are unpickled with an allow-list.

A worker found dead before its answer is tried once more with a fresh one: it may have died of something else than this
request. A timeout is not tried again: the second would cost as much as the first.

Limits: RLIMIT_AS and the death signal are Linux's; elsewhere the timeout and the closing socket remain.
"""

import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from apps.mime.frames import large, pack, receive_frame, send_frame, unpack

REQUESTS_PER_WORKER = 2000  # native libraries leak a little; a fresh process costs 0.2 s

_ROOT = Path(__file__).resolve().parents[2]
_log = logging.getLogger(__name__)


class WorkerFailed(Exception):
    """A worker gave no answer: it overran its time (`timed_out`), died, or could not do what was asked."""

    def __init__(self, *, worth_another_try: bool, timed_out: bool = False) -> None:
        super().__init__("took too long" if timed_out else "failed")
        self.worth_another_try = worth_another_try
        self.timed_out = timed_out


class AnswerUnpickler(pickle.Unpickler):
    """Unpickle what an answer is made of and nothing else: the worker has handled hostile bytes."""

    ALLOWED: frozenset[tuple[str, str]] = frozenset()

    def find_class(self, module: str, name: str) -> Any:
        """The classes of an answer; anything else is refused."""
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an answer")
        return super().find_class(module, name)


class _Worker:
    """One worker process and our end of its socket."""

    def __init__(self, module: str, answers: type[AnswerUnpickler], memory_bytes: int) -> None:
        self._answers = answers
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, str(os.getpid()), str(memory_bytes)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=_ROOT,
                # No environment: it holds the passwords of the database and the object store.
                env={"PYTHONPATH": str(_ROOT), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
            )
        self.connection = ours
        self.served = 0

    def ask(self, name: str, argument: bytes | str, *, timeout_seconds: float) -> Any:
        """Have one piece of work done. Raises WorkerFailed; the worker is then no longer fit for use."""
        deadline = time.monotonic() + timeout_seconds
        self.served += 1
        self.connection.settimeout(timeout_seconds)
        try:
            send_frame(self.connection, pack((name, large(argument))))
            self.connection.settimeout(max(0.001, deadline - time.monotonic()))
            answer = receive_frame(self.connection)
        except TimeoutError as error:
            raise WorkerFailed(worth_another_try=False, timed_out=True) from error
        except OSError as error:
            raise WorkerFailed(worth_another_try=True) from error
        if answer is None:
            raise WorkerFailed(worth_another_try=True)
        try:
            done, result = unpack(answer, self._answers)
        except (pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError) as error:
            raise WorkerFailed(worth_another_try=False) from error
        if not done:
            _log.warning("a worker could not read a message: %s", result)
            raise WorkerFailed(worth_another_try=False)
        return result

    def kill(self) -> None:
        """End the process now, and wait until it is gone."""
        self.connection.close()
        self.process.kill()
        self.process.wait()


class BoundedProcesses:
    """Workers of one kind. Safe to share between threads.

    `module` is run as a worker's main program, `answers` names the classes its answers may hold.
    """

    def __init__(
        self, module: str, *, answers: type[AnswerUnpickler], workers: int, memory_bytes: int
    ) -> None:
        self._module = module
        self._answers = answers
        self._memory_bytes = memory_bytes
        self._free_slots = threading.BoundedSemaphore(workers)
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._closed = False
        # Linux sends the death signal when the *thread* that started a process ends, and request threads
        # end all the time. This one lives as long as the pool.
        self._spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{module}-spawner")

    def ask(self, name: str, argument: bytes | str, *, timeout_seconds: float) -> Any:
        """Have a worker do one piece of work, waiting for a free one first. Raises WorkerFailed."""
        with self._free_slots:
            try:
                return self._ask_one(name, argument, timeout_seconds=timeout_seconds)
            except WorkerFailed as failure:
                if not failure.worth_another_try:
                    raise
            return self._ask_one(name, argument, timeout_seconds=timeout_seconds)

    def close(self) -> None:
        """End all idle workers; busy ones end when their answer is there. Later calls raise RuntimeError."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()
        self._spawner.shutdown()

    def _ask_one(self, name: str, argument: bytes | str, *, timeout_seconds: float) -> Any:
        worker = self._take()
        try:
            result = worker.ask(name, argument, timeout_seconds=timeout_seconds)
        except BaseException:
            # Whatever stopped us, an answer may still be on its way: this worker must not serve anyone else.
            worker.kill()
            raise
        self._put_back(worker)
        return result

    def _take(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise RuntimeError("the worker processes are closed")
            if self._idle:
                return self._idle.pop()
        return self._spawner.submit(_Worker, self._module, self._answers, self._memory_bytes).result()

    def _put_back(self, worker: _Worker) -> None:
        with self._lock:
            if not self._closed and worker.served < REQUESTS_PER_WORKER:
                self._idle.append(worker)
                return
        worker.kill()
