"""A minute of mail as fast as it is taken, and whether its bytes reach S3 as fast as they come.

What is taken is in PostgreSQL's spool until the offloader has moved it. A spool that grows for as long as mail comes
would end on a full disk, however fast each mail was taken; so what waits is counted every second, and the table says
what it came to.

Limits: filing does not keep pace with this, and is not meant to: what waits for it is safe in S3 by then. The stack is
this table's own, and is stopped with tens of thousands of mails unfiled.
"""

import asyncio
import time
from dataclasses import dataclass, field

from mailplatform.bench.figures import Table
from mailplatform.bench.mails import size_title
from mailplatform.bench.postfix_source import send_by_source
from mailplatform.bench.stack import Product

SECONDS = 60.0
SESSIONS = 20
# kilobytes, mails of each of the loads that follow one another until the time is up
LOADS = ((4, 3000), (60, 1500))
_HEADER = (
    "per second",
    "accepted",
    "moved to S3",
    "waiting, half-way",
    "waiting, at the end",
    "gone after (s)",
)


@dataclass(slots=True)
class _Minute:
    """What came, and what waited for S3 at each second."""

    began_at: float = field(default_factory=time.monotonic)
    sent: int = 0
    waited: list[int] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began_at

    async def watch(self, product: Product) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(1.0)
            self.waited.append(await product.count_spooled())


async def measure_minute(product: Product) -> Table:
    """Raises BenchFailed when a mail is refused, or when bytes stay in the spool."""
    table = Table(f"Taking mail for {SECONDS:.0f} seconds, {SESSIONS} sessions of smtp-source", _HEADER)
    await product.wait_quiet()
    for kilobytes, count in LOADS:
        await _measure_size(table, product, kilobytes, count)
    table.notes += [
        "connections kept; ours files what it has taken beside it, with what the cores leave.",
        "waiting: mails whose bytes are in PostgreSQL's spool and not in S3 yet.",
    ]
    return table


async def _measure_size(table: Table, product: Product, kilobytes: int, count: int) -> None:
    minute = _Minute()
    watching = asyncio.create_task(minute.watch(product))
    while minute.seconds < SECONDS:
        await send_by_source(
            product.smtp_port,
            size_bytes=kilobytes * 1024,
            count=count,
            sessions=SESSIONS,
            recipient=product.mailbox("shared")["address"],
            keeps_connections=True,
        )
        minute.sent += count
    took = minute.seconds
    watching.cancel()
    left = await product.count_spooled()
    ended_at = time.monotonic()
    await product.wait_stored()
    emptied = time.monotonic() - ended_at
    half_way = minute.waited[len(minute.waited) // 2]
    accepted, moved = minute.sent / took, (minute.sent - left) / took
    table.rows.append(
        [
            size_title(kilobytes),
            *(f"{number:.0f}" for number in (accepted, moved, half_way, left)),
            f"{emptied:.1f}",
        ]
    )
    table.figures.append(
        {"row": size_title(kilobytes), "unit": "per second", "accepted": accepted, "moved": moved}
        | {"waiting": minute.waited, "left": left, "seconds_until_gone": emptied}
    )
