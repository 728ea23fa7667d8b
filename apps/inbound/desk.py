"""Where the listener's event loop hands a question to a thread, because Django's database calls block.

A bounded number of threads answers; each gives its connection back to the pool afterwards, so that no thread holds one
while it waits for the network.
"""

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from django.db import connection
from django.utils import timezone

from apps.inbound.receiving import Accepted, Envelope, accept_message
from apps.inbound.recipients import RecipientAnswer, recognise_recipient

Answer = TypeVar("Answer")
THREADS = 8


class Desk:
    """Decides on recipients and takes custody of messages, for every connection of a process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="desk")

    async def recipient(self, address: str) -> RecipientAnswer:
        """Whether a RCPT is ours. Raises what the database raises when it is away."""
        return await self._ask(partial(recognise_recipient, address))

    async def accept(self, envelope: Envelope, raw: bytes, *, acknowledged: frozenset[uuid.UUID]) -> Accepted:
        """Take custody. Raises as `accept_message` does; then nothing was promised."""
        return await self._ask(
            partial(accept_message, envelope, raw, now=timezone.now(), acknowledged=acknowledged)
        )

    def close(self) -> None:
        """Wait for what is being committed; what has not begun is dropped, and its sender has no 250."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _ask(self, question: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _answer, question)


def _answer(question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    finally:
        connection.close()
