"""Strangers' pictures and documents, looked into by processes that can be killed: ours to bound, theirs to crash.

Apart from those that make thumbnails (`blobs.thumbnails`), so that a newsletter's sixty pictures delay no list of
files. Who waits longer than `PATIENCE_SECONDS` for a turn is told to come again: pages must not wait behind pictures.
"""

import atexit
import functools
import os
import threading
from typing import Any

from apps.mime.processes import AnswerUnpickler, BoundedProcesses, WorkerFailed
from apps.reading.errors import NothingToSee, NotNow

WORKERS = 2
MEMORY_BYTES = 1024 * 1024 * 1024
SECONDS = 4.0
PATIENCE_SECONDS = 6.0

_turns = threading.BoundedSemaphore(WORKERS)


def look_into(work: str, content: bytes) -> Any:
    """What a worker makes of it (`picture_worker`). Raises NothingToSee with the reason, and NotNow."""
    if not _turns.acquire(timeout=PATIENCE_SECONDS):
        raise NotNow
    try:
        answer = _processes().ask(work, content, timeout_seconds=SECONDS)
    except WorkerFailed as failure:
        raise NothingToSee("took_too_long" if failure.timed_out else "damaged") from failure
    finally:
        _turns.release()
    if isinstance(answer, str):
        raise NothingToSee(answer)
    return answer


@functools.cache
def _processes() -> BoundedProcesses:
    """The process's own, started when first needed."""
    processes = BoundedProcesses(
        "apps.mime.picture_worker", answers=AnswerUnpickler, workers=WORKERS, memory_bytes=MEMORY_BYTES
    )
    atexit.register(processes.close)
    return processes


# A forked child must not talk to its parent's workers over the sockets it inherited.
os.register_at_fork(after_in_child=_processes.cache_clear)
