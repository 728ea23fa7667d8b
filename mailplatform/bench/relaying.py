"""Relay drain: from the queue to the world's server, at 0, 20 and 100 ms for each of its replies; and from a POST to
that server's 250.

Ours: the mails are submitted over REST for later; when all of them wait and their bytes are in S3, the queue's rows are
set due in one moment, with nothing stopped or started. Floor: the load generator sends the same mails
straight from memory to the same server over as many connections, without a queue and without a fence. Peer: Postfix is
filled while its queue manager is away, which then comes back.

Rates are taken at the server, from the first mail to the last: waking up is not in them, and is told apart. Whether
mails were signed is counted there too.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.figures import LATENCIES_HEADER, RATES_HEADER, Latencies, Runs, Table
from mailplatform.bench.load import send_load
from mailplatform.bench.mails import Mails, size_title
from mailplatform.bench.peers import Postfix
from mailplatform.bench.posting import mails_from, post_load
from mailplatform.bench.processes import Cost, read_cpu_seconds
from mailplatform.bench.programs import Arrivals, read_arrivals, read_numbered, start_over
from mailplatform.bench.session import Session
from mailplatform.bench.stack import Product, Progress

RUNS = 2
CONNECTIONS = 50
# Kilobytes, milliseconds a reply, mails, connections of the floor and of the peer. Ours opens as many as it needs.
LOADS = ((4, 0, 2400, 50), (60, 0, 600, 50), (4, 20, 2400, 100), (4, 100, 1600, 200))
ROAD_RATE = 50.0
ROAD_MAILS = 300
_RECIPIENT = "customer@bench.invalid"
_DUE_IN_SECONDS = 1.0


@dataclass(slots=True)
class _Load:
    """Mails per second, one figure a run; `woken` in seconds after the queue became due."""

    floor: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    woken: list[float] = field(default_factory=list)
    signed: int = 0
    cost: Cost | None = None


async def measure_relay(product: Product, remote_port: int, postfix: Postfix | None) -> Table:
    """Raises BenchFailed when a mail does not reach the server, or one reaches it twice."""
    table = Table("Relay drain, from the queue to a server's 250", RATES_HEADER)
    woken: list[float] = []
    signed = 0
    for kilobytes, delay_ms, count, connections in LOADS:
        measured = _Load()
        for _ in range(RUNS):
            await _run(
                measured,
                product,
                remote_port,
                postfix,
                size_bytes=kilobytes * 1024,
                delay_ms=delay_ms,
                count=count,
                connections=connections,
            )
        table.add_rates(
            f"{size_title(kilobytes)}, {delay_ms} ms a reply",
            Runs(tuple(measured.ours)),
            floor=Runs(tuple(measured.floor)),
            peer=Runs(tuple(measured.peer)) if measured.peer else None,
        )
        woken += measured.woken
        signed += measured.signed
        if measured.cost:
            table.add_cost(f"{size_title(kilobytes)} at {delay_ms} ms, due to sent", measured.cost)
    loads = ", ".join(f"{count} of {size_title(size)} at {delay} ms" for size, delay, count, _all in LOADS)
    sent = RUNS * sum(count for _size, _delay, count, _connections in LOADS)
    table.notes += [
        f"{loads}; {RUNS} runs. One recipient to a mail; {signed} of our {sent} were DKIM-signed, "
        "when they were submitted; no peer's was.",
        f"ours: all due in one moment; the first reached the server {min(woken):.2f} to {max(woken):.2f} s later.",
        "floor: no queue, no fence, from memory. peer: Postfix. Both over "
        + ", ".join(str(connections) for *_rest, connections in LOADS)
        + " connections.",
    ]
    return table


async def measure_road(product: Product, remote_port: int) -> Table:
    """From a POST to the world's server's 250, at a steady rate. Raises BenchFailed."""
    table = Table(f"From POST to the server's 250, at {ROAD_RATE:.0f} a second", LATENCIES_HEADER)
    for kilobytes in (4, 60):
        await product.wait_quiet()
        await start_over(remote_port, delay_ms=0)
        mails = mails_from(product, _RECIPIENT, kilobytes * 1024)
        posted = await post_load(product, mails, count=ROAD_MAILS, rate=ROAD_RATE)
        await _wait_arrived(remote_port, ROAD_MAILS)
        control = await Session.open(remote_port)
        taken_at = await read_numbered(control)
        await control.close()
        if len(taken_at) != ROAD_MAILS:
            raise BenchFailed(f"{len(taken_at)} of {ROAD_MAILS} mails were recognised at the server")
        due_at = [posted.started_at + number / ROAD_RATE for number in range(ROAD_MAILS)]
        seconds = tuple(taken_at[number] - due_at[number] for number in range(ROAD_MAILS))
        table.add_latencies(f"{size_title(kilobytes)}, enqueued and accepted", Latencies(seconds))
    table.notes.append("Counted from when a POST was due: what it waits for its own answer is in it.")
    return table


async def _run(
    measured: _Load,
    product: Product,
    remote_port: int,
    postfix: Postfix | None,
    *,
    size_bytes: int,
    delay_ms: int,
    count: int,
    connections: int,
) -> None:
    await product.wait_quiet()
    await start_over(remote_port, delay_ms=delay_ms)
    mails = mails_from(product, _RECIPIENT, size_bytes)
    await send_load(remote_port, mails, count=count, sessions=connections, pipelined=True)
    measured.floor.append((await _wait_arrived(remote_port, count)).rate)
    if postfix is not None:
        await start_over(remote_port, delay_ms=delay_ms)
        drained = await _drain_peer(postfix, remote_port, mails, count, connections)
        measured.peer.append(drained.rate)
    await start_over(remote_port, delay_ms=delay_ms)
    await _run_ours(measured, product, remote_port, mails, count)


async def _drain_peer(
    postfix: Postfix, remote_port: int, mails: Mails, count: int, connections: int
) -> Arrivals:
    postfix.start(connections=connections, queue_manager=False)
    await send_load(postfix.port, mails, count=count, sessions=20)
    await _expect_none(remote_port, "Postfix")
    postfix.start(connections=connections)
    return await _wait_arrived(remote_port, count)


async def _run_ours(measured: _Load, product: Product, remote_port: int, mails: Mails, count: int) -> None:
    await post_load(product, mails, count=count, send_at=_not_yet())
    await _expect_none(remote_port, "the product")
    # All of it in S3: otherwise the move there would be counted with the drain.
    await product.wait_stored()
    sent_before, cpu_before = await product.count_sent(), read_cpu_seconds(product)
    due_clock = time.monotonic() + _DUE_IN_SECONDS
    await product.make_due(count, _DUE_IN_SECONDS)
    arrivals = await _wait_arrived(remote_port, count)
    await product.wait_quiet()
    if (sent := await product.count_sent() - sent_before) != count:
        raise BenchFailed(f"{sent} of {count} mails are recorded as sent")
    if (await _wait_arrived(remote_port, count)).count != count:
        raise BenchFailed("the server took a mail twice")
    measured.cost = Cost.since(cpu_before, product, count)
    measured.signed += arrivals.signed
    measured.ours.append(arrivals.rate)
    measured.woken.append(arrivals.first_at - due_clock)


def _not_yet() -> str:
    """A moment by which any number of mails will have been submitted."""
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


async def _expect_none(remote_port: int, whose: str) -> None:
    control = await Session.open(remote_port)
    arrivals = await read_arrivals(control)
    await control.close()
    if arrivals.count:
        raise BenchFailed(f"{whose} sent {arrivals.count} mails before its queue was full")


async def _wait_arrived(remote_port: int, count: int) -> Arrivals:
    """Until the server took so many. It keeps the times itself: looking rarely costs no accuracy."""
    control = await Session.open(remote_port)
    progress = Progress("mails reached the server", count)
    while (arrivals := await read_arrivals(control)).count < count:
        progress.note(arrivals.count)
        await asyncio.sleep(0.1)
    await control.close()
    return arrivals
