"""Processes that an earlier run of this data folder left behind.

A supervisor killed with -9 takes its children with it, but not what those had forked, and a child may need a
moment to die. Whoever holds the folder's lock may therefore end everything that still works on the folder.
Nothing is guessed from process ids, which are reused: a child is known by the mark in its environment, a
PostgreSQL server, which overwrites its environment with its title, by its working directory.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from mailplatform.embedded.child import MARK
from mailplatform.embedded.errors import StackFailed

_END_SECONDS = 10.0


def find_marked(data_dir: Path) -> list[int]:
    """Ids of the processes that a supervisor of `data_dir` started, and of what those forked."""
    mark = f"{MARK}={data_dir}".encode()
    return [pid for pid in _process_ids() if mark in _environment_of(pid) and pid != os.getpid()]


def find_working_in(folder: Path) -> list[int]:
    """Ids of the processes whose working directory is `folder`."""
    return [pid for pid in _process_ids() if _directory_of(pid) == folder and pid != os.getpid()]


def end_processes(find: Callable[[], list[int]]) -> int:
    """Kill what `find` finds until it finds nothing more, and return how many there were.

    SIGKILL, because they have lost their parent uncleanly already and every part survives that. Raises
    StackFailed when one does not die (in uninterruptible sleep on a dead disk).
    """
    ended = set[int]()
    deadline = time.monotonic() + _END_SECONDS
    while found := find():
        if time.monotonic() > deadline:
            raise StackFailed(f"process {found[0]} of an earlier run cannot be ended; end it and start again")
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended.update(found)
        time.sleep(0.05)
    return len(ended)


def _process_ids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


# A process may end while it is read, and other people's may not be read at all: neither is ours.


def _environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _directory_of(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None
