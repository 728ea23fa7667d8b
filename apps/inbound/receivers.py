"""Several processes that serve the same open ports, since Python keeps one core busy and no more.

    open the ports → fork → each child serves until told to stop; one that died is replaced after a pause

The parent serves nothing: it opens what all share, hands a signal to stop on to its children and waits for them. When
it dies the kernel kills them, so that no port stays taken. What a child had answered 250 to is committed; its row on
the boards (`board`) is wiped before its successor sits down.

Forked and not started: a child shares its parent's memory as long as neither writes to it, and starts in no time. So
nothing that has threads, sockets of its own or an event loop may exist before.

Limits: a child whose loop hangs is not replaced; it stops beating (`monitoring.heartbeat`), and goes on being counted.
"""

import ctypes
import gc
import os
import signal
import time
from collections.abc import Callable, Sequence

import structlog

from apps.inbound.board import Board

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 0.5
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
_PR_SET_PDEATHSIG = 1  # prctl(2)


class Receivers:
    """`serve` runs in each child under its number, from 0, until it is told to stop."""

    def __init__(self, processes: int, serve: Callable[[int], None], boards: Sequence[Board]) -> None:
        self._processes = processes
        self._serve = serve
        self._boards = boards
        self._children: dict[int, int] = {}  # numbers by process id
        self._libc = ctypes.CDLL(None)

    def run(self) -> None:
        """Until SIGTERM or SIGINT, and until all children have ended."""
        gc.collect()
        gc.freeze()  # what all share is looked through in none of them, and so stays shared
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for number in range(self._processes):
            self._fork(number)
        while signal.sigwait(_SIGNALS) == signal.SIGCHLD:
            self._replace_dead()
        for pid in self._children:
            os.kill(pid, signal.SIGTERM)
        for pid in self._children:
            os.waitpid(pid, 0)

    def _replace_dead(self) -> None:
        for pid, number in list(self._children.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            log.error("receiver_died", number=number, status=os.waitstatus_to_exitcode(status))
            del self._children[pid]
            for board in self._boards:
                board.wipe(number)
            time.sleep(PAUSE_SECONDS)  # one that dies at once does not take the machine with it
            self._fork(number)

    def _fork(self, number: int) -> None:
        parent = os.getpid()
        if pid := os.fork():
            self._children[pid] = number
            return
        status = 1
        try:
            self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == parent:  # or it died before the request was in place
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
                self._serve(number)
                status = 0
        except Exception:
            log.exception("receiver_failed", number=number)
        finally:
            # Not by the way of the parent, whose stack this is.
            os._exit(status)
