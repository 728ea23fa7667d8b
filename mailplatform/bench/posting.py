"""`POST /api/v1/messages`: how fast mail is accepted over REST, durably, while it is also sent."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mailplatform.bench.figures import Latencies, Runs, Table
from mailplatform.bench.mails import Mails
from mailplatform.bench.processes import Cost, read_cpu_seconds
from mailplatform.bench.stack import Product
from mailplatform.bench.web import Connection

CONNECTIONS = 8
RATE = 150.0
_SIZE_BYTES = 4096
_HEADER = ("POST /api/v1/messages", "per second", "p50 ms", "p99 ms", "longest ms", "measured")


@dataclass(slots=True)
class Posted:
    """What became of a load of POSTs; seconds from when each was due."""

    started_at: float = 0.0
    ended_at: float = 0.0
    seconds_each: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.seconds_each) / (self.ended_at - self.started_at)


async def measure_post(product: Product) -> Table:
    """Raises BenchFailed when a POST is not answered 202."""
    table = Table(f"Submission over REST, {CONNECTIONS} connections, 4 KB of text", _HEADER)
    colleague = next(one for one in product.demo["users"] if one["role"] == "agent")["email"]
    loads: tuple[tuple[str, str, int, float | None], ...] = (
        ("over the relay, as fast as answered", "customer@bench.invalid", 400, None),
        (f"over the relay, at {RATE:.0f} a second", "customer@bench.invalid", 400, RATE),
        ("to a colleague, as fast as answered", colleague, 200, None),
    )
    for title, recipient, count, rate in loads:
        await product.wait_quiet()
        mails = mails_from(product, recipient, _SIZE_BYTES)
        cpu_before = read_cpu_seconds(product)
        posted = await post_load(product, mails, count=count, rate=rate)
        await product.wait_quiet()
        cost = Cost.since(cpu_before, product, count)
        latencies = Latencies(tuple(posted.seconds_each))
        table.rows.append([title, Runs((posted.rate,)).show(), *latencies.show()])
        figure = {"row": title, "per_second": posted.rate, "seconds": posted.seconds_each}
        table.figures.append(figure)
        table.add_cost(title, cost)
    table.notes += [
        "202 after the commit. Mail over the relay is sent meanwhile, by the same machine; mail to a colleague is",
        "in the inbox when the 202 is back. With a rate, time is counted from when a POST was due.",
    ]
    return table


def mails_from(product: Product, recipient: str, size_bytes: int) -> Mails:
    """Mails that the shared mailbox writes."""
    return Mails(size_bytes, product.mailbox("shared")["address"], recipient)


async def post_load(
    product: Product,
    mails: Mails,
    *,
    count: int,
    rate: float | None = None,
    send_at: str | None = None,
) -> Posted:
    """POST `count` mails over `CONNECTIONS` connections; `send_at` as ISO 8601. Raises BenchFailed."""
    posted = Posted()
    bodies = [_body(mails, number, send_at) for number in range(count)]
    connections = [
        Connection(
            product.web_port,
            {"authorization": f"Bearer {product.api_key}", "content-type": "application/json"},
        )
        for _ in range(CONNECTIONS)
    ]
    numbers = iter(range(count))
    posted.started_at = time.monotonic()
    try:
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(_work(connection, bodies, numbers, posted, rate))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    posted.ended_at = time.monotonic()
    for connection in connections:
        await connection.close()
    return posted


def _body(mails: Mails, number: int, send_at: str | None) -> bytes:
    message: dict[str, Any] = {
        "from": mails.sender,
        "to": [mails.recipient],
        "subject": mails.subject(number),
        "text": mails.body(mails.size_bytes).decode("ascii"),
    }
    if send_at is not None:
        message["send_at"] = send_at
    return json.dumps(message).encode()


async def _work(
    connection: Connection,
    bodies: list[bytes],
    numbers: Iterator[int],
    posted: Posted,
    rate: float | None,
) -> None:
    for number in numbers:
        begun_at = time.monotonic()
        if rate is not None:
            due_at = posted.started_at + number / rate
            await asyncio.sleep(max(0.0, due_at - begun_at))
            begun_at = due_at
        await connection.request("POST", "/api/v1/messages", bodies[number], expect=202)
        posted.seconds_each.append(time.monotonic() - begun_at)
