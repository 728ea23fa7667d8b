"""What teams use instead of us, on the same machine and in the same run: django-post-office, and an actor of their own.

They send to the same remote server, with the same delays, over the same PostgreSQL and Valkey. Enqueue is timed by
their own process, in a loop; the drain at the server, from the first mail to the last. What these peers do not do
(one truth for each recipient, a fence, signing, failover, limits) is not in their figures; what happens to their queues
when they are killed is in `docs/operations.md`.
"""

import asyncio
import importlib.util
import sys

from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.figures import Runs, Table
from mailplatform.bench.programs import Arrivals, read_arrivals, start_over
from mailplatform.bench.session import Session
from mailplatform.bench.stack import Product, Progress
from mailplatform.embedded.access import EmbeddedAccess
from mailplatform.environment import PROJECT_ROOT

LOADS = ((4, 0, 400), (4, 20, 120))  # kilobytes, milliseconds a reply, mails
_HEADER = ("per second", "enqueue", "drain")
_PATIENCE_SECONDS = 180.0


def why_not() -> str:
    """Why the peers cannot be measured here; "" when they can."""
    return "" if importlib.util.find_spec("post_office") else "django-post-office is not installed"


async def measure_alternatives(product: Product, remote_port: int) -> Table:
    """Raises BenchFailed when a peer does not send what it was given."""
    table = Table("What teams use instead, one process each", _HEADER)
    access = EmbeddedAccess.read(product.data_dir)
    if access is None:
        raise BenchFailed(f"{product.data_dir} has no embedded.json")
    environment = {
        "BENCH_DATABASE_URL": access.postgres.url,
        "BENCH_REDIS_URL": access.valkey.url,
        "BENCH_REMOTE_PORT": str(remote_port),
    }
    await _run(environment, "prepare")
    for kilobytes, delay_ms, count in LOADS:
        size_bytes = kilobytes * 1024
        await product.wait_quiet()
        enqueued = float(await _run(environment, "fill", count, size_bytes))
        await start_over(remote_port, delay_ms=delay_ms)
        await _run(environment, "drain")
        arrivals = await _arrived(remote_port, count)
        _add(table, f"django-post-office, {kilobytes} KB, {delay_ms} ms a reply", count / enqueued, arrivals)
        await start_over(remote_port, delay_ms=delay_ms)
        enqueued = float(await _run(environment, "actor", count, size_bytes))
        arrivals = await _arrived(remote_port, count)
        _add(table, f"Dramatiq actor, {kilobytes} KB, {delay_ms} ms a reply", count / enqueued, arrivals)
    table.notes += [
        "django-post-office: mail.send one by one, then send_queued_mail. The actor: send_mail, eight threads;",
        "its enqueue writes ids to Valkey and nothing durable. Ours are in the tables above.",
    ]
    return table


def _add(table: Table, title: str, enqueued: float, arrivals: Arrivals) -> None:
    table.rows.append([title, Runs((enqueued,)).show(), Runs((arrivals.rate,)).show()])
    table.figures.append({"row": title, "enqueue_per_second": enqueued, "drain_per_second": arrivals.rate})


async def _run(environment: dict[str, str], command: str, count: int = 0, size_bytes: int = 0) -> str:
    """One command of the peers' program to its end; what it printed. Raises BenchFailed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mailplatform.bench.post_office",
        command,
        str(count),
        str(size_bytes),
        cwd=PROJECT_ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            printed, complaints = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise BenchFailed(f"the peer's {command} did not end within {_PATIENCE_SECONDS:.0f} s") from None
    if process.returncode:
        raise BenchFailed(f"the peer's {command}: {complaints.decode(errors='replace').strip()[-300:]}")
    return printed.decode().strip()


async def _arrived(remote_port: int, count: int) -> Arrivals:
    control = await Session.open(remote_port)
    progress = Progress("mails of a peer reached the server", count)
    while (arrivals := await read_arrivals(control)).count < count:
        progress.note(arrivals.count)
        await asyncio.sleep(0.1)
    await control.close()
    return arrivals
