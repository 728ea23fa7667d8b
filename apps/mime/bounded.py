"""Read hostile mail in processes that can be killed.

A parser that hangs in native code, or eats all memory, cannot be stopped from within. So each message goes
to one of a few small worker processes (`worker`); one that overruns its time or its memory is killed and
replaced, and the message is read as plain text instead, with a defect that says why. The next message does
not wait for it.

A worker found dead before its answer is tried once more with a fresh one: it may have died of something
else than this message. A timeout is not tried again: the second would cost as much as the first.

Limits: RLIMIT_AS and the death signal are Linux's; elsewhere the timeout and the closing socket remain.
"""

import atexit
import functools
import io
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from apps.mime.html import flatten_html
from apps.mime.message import ParsedMessage
from apps.mime.parse import parse_as_text
from apps.mime.worker import receive_frame, send_frame

TIMED_OUT = "parsing took too long"
WORKER_DIED = "parsing failed"

DEFAULT_WORKERS = 2
DEFAULT_MEMORY_BYTES = 1024 * 1024 * 1024
MESSAGES_PER_WORKER = 2000  # native libraries leak a little; a fresh process costs 0.2 s

_ROOT = Path(__file__).resolve().parents[2]
_log = logging.getLogger(__name__)


class WorkerFailed(Exception):
    """A worker gave no answer; `defect` is the reason that the reader of the message sees."""

    def __init__(self, defect: str, *, worth_another_try: bool) -> None:
        super().__init__(defect)
        self.defect = defect
        self.worth_another_try = worth_another_try


class _AnswerUnpickler(pickle.Unpickler):
    """Unpickle what an answer is made of and nothing else: the worker has handled hostile bytes."""

    _ALLOWED = frozenset(
        {
            ("apps.mime.message", "ParsedMessage"),
            ("apps.mime.message", "ParsedPart"),
            ("apps.mime.message", "MessageKind"),
            ("apps.mime.address", "Address"),
            ("datetime", "datetime"),
            ("datetime", "timezone"),
            ("datetime", "timedelta"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """The classes of an answer; anything else is refused."""
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an answer")
        return super().find_class(module, name)


class _Worker:
    """One worker process and our end of its socket."""

    def __init__(self, memory_bytes: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "apps.mime.worker", str(os.getpid()), str(memory_bytes)],
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
            send_frame(self.connection, pickle.dumps((name, argument), protocol=pickle.HIGHEST_PROTOCOL))
            self.connection.settimeout(max(0.001, deadline - time.monotonic()))
            answer = receive_frame(self.connection)
        except TimeoutError as error:
            raise WorkerFailed(TIMED_OUT, worth_another_try=False) from error
        except OSError as error:
            raise WorkerFailed(WORKER_DIED, worth_another_try=True) from error
        if answer is None:
            raise WorkerFailed(WORKER_DIED, worth_another_try=True)
        try:
            done, result = _AnswerUnpickler(io.BytesIO(answer)).load()
        except (pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError) as error:
            raise WorkerFailed(WORKER_DIED, worth_another_try=False) from error
        if not done:
            _log.warning("a worker could not read a message: %s", result)
            raise WorkerFailed(WORKER_DIED, worth_another_try=False)
        return result

    def kill(self) -> None:
        """End the process now, and wait until it is gone."""
        self.connection.close()
        self.process.kill()
        self.process.wait()


class BoundedParser:
    """A small pool of worker processes, started when first needed. Safe to share between threads."""

    def __init__(self, *, workers: int = DEFAULT_WORKERS, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._free_slots = threading.BoundedSemaphore(workers)
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._closed = False
        # Linux sends the death signal when the *thread* that started a process ends, and request threads
        # end all the time. This one lives as long as the pool.
        self._spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mime-spawner")

    def parse(self, raw: bytes, *, timeout_seconds: float = 10) -> ParsedMessage:
        """Read a message within bounds. Never raises for the message's sake: what cannot be read is read as text."""
        try:
            message: ParsedMessage = self._ask("parse", raw, timeout_seconds=timeout_seconds)
        except WorkerFailed as failure:
            message = parse_as_text(raw)
            return replace(message, defects=(failure.defect, *message.defects))
        return message

    def sanitise(self, html: str, *, timeout_seconds: float = 10) -> str:
        """Sanitise HTML within bounds (`html.sanitise_html`); what cannot be is reduced to its text."""
        try:
            sanitised: str = self._ask("sanitise", html, timeout_seconds=timeout_seconds)
        except WorkerFailed:
            return flatten_html(html)
        return sanitised

    def close(self) -> None:
        """End all idle workers; busy ones end when their answer is there. Later calls raise RuntimeError."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()
        self._spawner.shutdown()

    def _ask(self, name: str, argument: bytes | str, *, timeout_seconds: float) -> Any:
        with self._free_slots:
            try:
                return self._ask_one(name, argument, timeout_seconds=timeout_seconds)
            except WorkerFailed as failure:
                if not failure.worth_another_try:
                    raise
            return self._ask_one(name, argument, timeout_seconds=timeout_seconds)

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
                raise RuntimeError("the parser is closed")
            if self._idle:
                return self._idle.pop()
        return self._spawner.submit(_Worker, self._memory_bytes).result()

    def _put_back(self, worker: _Worker) -> None:
        with self._lock:
            if not self._closed and worker.served < MESSAGES_PER_WORKER:
                self._idle.append(worker)
                return
        worker.kill()


@functools.cache
def default_parser() -> BoundedParser:
    """The process's own parser, started when first used and closed when the process ends."""
    parser = BoundedParser()
    atexit.register(parser.close)
    return parser


# A forked child must not talk to its parent's workers over the sockets it inherited.
os.register_at_fork(after_in_child=default_parser.cache_clear)
