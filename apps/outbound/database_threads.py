"""Database work of an asyncio drain: a few threads that give their connection back after every unit of work."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

P = ParamSpec("P")
R = TypeVar("R")

# PostgreSQL is away, restarting, or out of connections. What was asked may or may not have been committed.
DATABASE_AWAY = (OperationalError, InterfaceError)


class DatabaseThreads:
    """Runs blocking functions off the event loop."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="outbound-db")

    async def __call__(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`work`'s answer. A caller that is cancelled meanwhile does not stop the thread: the work is done or not."""

        def unit() -> R:
            try:
                return work(*args, **kwargs)
            finally:
                connection.close()

        return await asyncio.get_running_loop().run_in_executor(self._pool, unit)

    def close(self) -> None:
        self._pool.shutdown(wait=False)
