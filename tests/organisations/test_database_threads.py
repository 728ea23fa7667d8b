"""Threads that are closed: what is under way is waited for, and nobody waits for what is dropped."""

import asyncio
import threading

from apps.organisations.database_threads import DatabaseThreads
from apps.organisations.group_commit import GroupCommit


async def test_whoever_asked_for_what_is_dropped_is_told_and_does_not_wait_for_ever() -> None:
    threads = DatabaseThreads(1)
    begun, goes_on = threading.Event(), threading.Event()

    def hold() -> str:
        begun.set()
        goes_on.wait(20)
        return "done"

    is_queued = asyncio.Event()

    async def commit(batch: list[int]) -> list[int]:
        is_queued.set()
        return await threads(list, batch)

    commits = GroupCommit[int, int](commit, most=2)
    under_way = asyncio.create_task(threads(hold))
    await asyncio.to_thread(begun.wait, 20)
    asked = [asyncio.create_task(commits.ask(n)) for n in range(5)]
    await is_queued.wait()
    closing = asyncio.create_task(asyncio.to_thread(threads.close, wait=True))
    await _closed(threads)
    goes_on.set()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*asked, return_exceptions=True)
        await closing
    assert [type(answer) for answer in answers] == [RuntimeError] * 5
    assert await under_way == "done"


async def _closed(threads: DatabaseThreads) -> None:
    """Once no work is taken any more."""
    while True:
        probe = asyncio.create_task(threads(int))
        await asyncio.sleep(0.01)
        if probe.done():
            assert isinstance(probe.exception(), RuntimeError)
            return
        probe.add_done_callback(asyncio.Task.exception)  # it is dropped too
