"""The load generator: one for every listener that is measured, so that its own cost is in each figure alike.

Each session keeps its connection and sends its next mail when the last one was answered, command by command unless told
to pipeline; or, with a rate, whichever session is free sends when a mail's time has come. A single refusal ends the
load: a listener that turns mail away is not fast.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from mailplatform.bench.mails import Mails
from mailplatform.bench.session import Session


@dataclass(slots=True)
class Load:
    """What became of a load. Times are the monotonic clock's; `answered_at` has each mail's final 250."""

    started_at: float = 0.0
    ended_at: float = 0.0
    answered_at: dict[int, float] = field(default_factory=dict)
    seconds_each: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Mails accepted per second."""
        return len(self.answered_at) / (self.ended_at - self.started_at)


async def send_load(
    port: int,
    mails: Mails,
    *,
    count: int,
    sessions: int,
    pipelined: bool = False,
    rate: float | None = None,
    load: Load | None = None,
) -> Load:
    """Send `count` mails over `sessions` connections to 127.0.0.1; at `rate` mails a second, or as fast as answered.

    Mails are built and connections opened before the clock starts. `load` may be watched while it fills. Raises
    BenchFailed when anything is refused.
    """
    load = load or Load()
    built = [mails.build(number) for number in range(count)]
    opened = [await Session.open(port) for _ in range(min(sessions, count))]
    numbers = iter(range(count))
    load.started_at = time.monotonic()
    try:
        async with asyncio.TaskGroup() as group:
            for session in opened:
                group.create_task(_work(session, mails, built, numbers, load, pipelined=pipelined, rate=rate))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    load.ended_at = time.monotonic()
    for session in opened:
        await session.close()
    return load


async def _work(
    session: Session,
    mails: Mails,
    built: list[bytes],
    numbers: Iterator[int],
    load: Load,
    *,
    pipelined: bool,
    rate: float | None,
) -> None:
    sender, recipient = mails.sender.encode(), mails.recipient.encode()
    for number in numbers:
        begun_at = time.monotonic()
        if rate is not None:
            due_at = load.started_at + number / rate
            await asyncio.sleep(max(0.0, due_at - begun_at))
            # From when it was due, so that a listener that falls behind does not hide its own queue.
            begun_at = due_at
        await session.send(sender, recipient, built[number], pipelined=pipelined)
        answered_at = time.monotonic()
        load.answered_at[number] = answered_at
        load.seconds_each.append(answered_at - begun_at)
