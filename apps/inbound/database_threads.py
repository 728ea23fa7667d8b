"""Threads that answer an event loop's questions, because Django's database calls block.

They are bounded, and each gives its connection back to the pool afterwards, so that none holds one while it waits for
the network.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

Answer = TypeVar("Answer")
THREADS = 8


class DatabaseThreads:
    """For all connections of a listener."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=name)

    async def ask(self, question: Callable[[], Answer]) -> Answer:
        """What the question answers or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _answer, question)

    def close(self) -> None:
        """Wait for what has begun; the rest is dropped."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _answer(question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    finally:
        connection.close()
