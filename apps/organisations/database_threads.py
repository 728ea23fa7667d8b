"""Database work of an event loop: a few threads that give their connection back after every unit of work."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar, cast

from django.db import InterfaceError, OperationalError, connection

P = ParamSpec("P")
R = TypeVar("R")

# PostgreSQL is away, restarting, or out of connections. What was asked may or may not have been committed.
DATABASE_AWAY = (OperationalError, InterfaceError)


class DatabaseThreads:
    """Runs blocking functions off the event loop."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="database")
        self._drops = False

    async def __call__(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`work`'s answer. A caller that is cancelled meanwhile does not stop the thread: the work is done or not.

        Raises RuntimeError when it has not begun at `close`.
        """

        def unit() -> R:
            if self._drops:
                # Raised and not cancelled: a cancellation would end the caller's task and leave those who wait for it.
                raise RuntimeError("the threads were closed before it began")
            try:
                return work(*args, **kwargs)
            finally:
                connection.close()

        return await asyncio.get_running_loop().run_in_executor(self._pool, unit)

    def close(self, *, wait: bool = False) -> None:
        """Take no more work. `wait` for what is under way; what has not begun is dropped then."""
        self._drops = wait
        self._pool.shutdown(wait=wait)


async def run_in_daemon_thread(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The same for one long unit of work, in a thread that a process which is told to stop does not wait for."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[R] = loop.create_future()

    def settle(result: R | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(cast(R, result))

    def unit() -> None:
        result, error = None, None
        try:
            result = work(*args, **kwargs)
        except Exception as caught:  # noqa: BLE001  # handed to whoever waits
            error = caught
        finally:
            connection.close()
        with contextlib.suppress(RuntimeError):  # the loop has ended, and so has everybody who waited
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=unit, name="database-apart", daemon=True).start()
    return await answer
