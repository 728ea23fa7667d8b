"""The process in which hostile mail is read: `python -m apps.mime.worker PARENT_PID`, its standard input a
socket.

It reads a request, does the work, writes the answer, and waits for the next; it ends when the socket does.
It imports this room only, gets no environment and can write no file, so that a flaw in native code beneath
the parser finds no secret here. `processes` starts it, watches the clock and kills it.

A request is (function name, argument), an answer (True, result) or (False, what went wrong), each a frame (`frames`).
The parent unpickles with an allow-list, since it trusts the worker less.
"""

import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Mapping

from apps.mime.frames import pack, receive_frame, send_frame, unpack
from apps.mime.html import sanitise_html
from apps.mime.parse import parse

_PR_SET_PDEATHSIG = 1  # prctl(2)
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1  # mallopt(3)
_LARGE_BYTES = 1024 * 1024
_KEPT_BYTES = 8 * 1024 * 1024

Work = Mapping[str, Callable[..., object]]

_WORK: Work = {"parse": parse, "sanitise": sanitise_html}


def serve(connection: socket.socket, work: Work = _WORK) -> None:
    """Answer requests until the parent closes the socket. `work`: what may be asked for, by name."""
    while _serve_one(connection, work):
        pass


def _serve_one(connection: socket.socket, work: Work) -> bool:
    """Wait for a request and answer it; False at the end. By itself, so that nothing of a mail outlives its answer."""
    request = receive_frame(connection)
    if request is None:
        return False
    name, argument = unpack(request)  # from our parent, over a private socket
    request.clear()
    try:
        answer: tuple[bool, object] = (True, work[name](argument))
    except Exception as error:  # noqa: BLE001  # the parent records it and falls back; this process goes on
        answer = (False, f"{type(error).__name__}: {error}"[:500])
    send_frame(connection, pack(answer))
    return True


def restrict(*, parent_pid: int, memory_bytes: int) -> None:
    """Bind this process's life and means: it dies with its parent, within `memory_bytes`, and writes no files."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _give_memory_back(libc)
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if os.getppid() != parent_pid:  # it died before the line above took hold
        sys.exit(0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Ctrl-C and a supervisor's SIGTERM reach every process of the group. The parent is draining then and
    # may need this one for the mail in hand; it decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _give_memory_back(libc: ctypes.CDLL) -> None:
    """Once a large mail has been freed, glibc takes its size for usual and keeps as much for ever, unless told what is
    large. Other C libraries have no such habit."""
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def main(work: Work = _WORK) -> None:
    """Serve on standard input until it closes."""
    restrict(parent_pid=int(sys.argv[1]), memory_bytes=int(sys.argv[2]))
    with socket.socket(fileno=0) as connection:
        serve(connection, work)


if __name__ == "__main__":
    main()
