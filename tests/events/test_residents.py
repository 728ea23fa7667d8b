"""One resident of a name in a process, woken rather than doubled, and told to end."""

import asyncio
from typing import cast

import dramatiq

from apps.events.residents import Residents

BROKER = cast(dramatiq.Broker, None)


class Idler:
    """Works until it is told that it may end."""

    def __init__(self) -> None:
        self.is_woken = False
        self.is_stopped = False
        self.may_end = asyncio.Event()

    async def run(self) -> None:
        await self.may_end.wait()

    def wake(self) -> None:
        self.is_woken = True

    def stop(self) -> None:
        self.is_stopped = True
        self.may_end.set()


class Household:
    def __init__(self) -> None:
        self.made: dict[str, list[Idler]] = {}
        self.residents = Residents()

    async def work(self, name: str) -> None:
        def make() -> Idler:
            idler = Idler()
            self.made.setdefault(name, []).append(idler)
            return idler

        await self.residents.work(name, make)


async def settle() -> None:
    for _turn in range(5):
        await asyncio.sleep(0)


async def test_one_that_is_at_work_is_woken_and_another_follows_it() -> None:
    home = Household()
    first = asyncio.create_task(home.work("lane"))
    await settle()
    await home.work("lane")
    (idler,) = home.made["lane"]
    assert idler.is_woken
    idler.may_end.set()
    await settle()
    _over, follower = home.made["lane"]
    assert not first.done()
    follower.may_end.set()
    await first


async def test_names_have_a_resident_each() -> None:
    home = Household()
    tasks = [asyncio.create_task(home.work(name)) for name in ("one", "other")]
    await settle()
    assert {name: len(made) for name, made in home.made.items()} == {"one": 1, "other": 1}
    for made in home.made.values():
        made[0].may_end.set()
    await asyncio.gather(*tasks)


async def test_told_to_stop_all_end_and_nobody_follows() -> None:
    home = Household()
    task = asyncio.create_task(home.work("lane"))
    await settle()
    home.made["lane"][0].wake()
    await asyncio.to_thread(home.residents.before_worker_shutdown, BROKER, None)
    await task
    assert home.made["lane"][0].is_stopped
    await home.work("lane")
    assert len(home.made["lane"]) == 1
