"""One run: start the floor, the world's server, the peer and the product; measure the rows asked for; stop everything.

Everything runs on this machine and takes its time from the same cores: the load generator too. What a figure leaves out
stands under its table. The figures, each run's, are kept as JSON beside the logs, in the run's folder.
"""

import asyncio
import json
import platform
import signal
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from mailplatform.bench import alternatives, browsing, postfix_source
from mailplatform.bench.accepting import measure_accept, measure_intake
from mailplatform.bench.enduring import measure_minute
from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.figures import Table
from mailplatform.bench.large import measure_large
from mailplatform.bench.mailbox import fill_mailbox
from mailplatform.bench.memory import read_memory, tabulate_memory
from mailplatform.bench.peers import Postfix, running_postfix, why_not
from mailplatform.bench.posting import measure_post
from mailplatform.bench.programs import running_program
from mailplatform.bench.relaying import CONNECTIONS, measure_relay, measure_road
from mailplatform.bench.stack import Product, running_product
from mailplatform.bench.visibility import measure_visible
from mailplatform.bench.webmail import measure_webmail
from mailplatform.embedded.log import Log
from mailplatform.embedded.ports import choose_port

FAMILIES = ("accept", "visible", "relay", "alternatives", "post", "large", "memory", "minute", "webmail")
FIGURES_NAME = "figures.json"


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures were taken on."""

    cores: int
    processor: str
    memory_gib: float
    python: str
    system: str
    at: str

    def show(self) -> str:
        return (
            f"{self.cores} cores ({self.processor}), {self.memory_gib:.0f} GiB, Python {self.python}, "
            f"{self.system}, {self.at}"
        )


def read_machine() -> Machine:
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in facts if line.startswith("model name")]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return Machine(
        cores=facts_of_cores(facts),
        processor=names[0] if names else platform.machine(),
        memory_gib=int(memory) / 1024**2,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def facts_of_cores(facts: Collection[str]) -> int:
    """How many processors /proc/cpuinfo lists."""
    return sum(line.startswith("processor") for line in facts)


def run_bench(
    folder: Path, only: Collection[str], tell: Callable[[str], None], *, messages: Sequence[int] = (100_000,)
) -> None:
    """Measure the families of `only` and tell each table as it is done. `folder` is the run's own; `messages` are the
    sizes of the mailboxes that the webmail is measured on.

    Raises BenchFailed when a row cannot be measured; what was told before stays true. Whichever way it ends, nothing
    that it started is left.
    """
    machine = read_machine()
    tell(f"{machine.show()}\n")
    log = Log(folder / "logs", screen=False)
    tables: list[Table] = []
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measure(folder, only, messages, log, tables=tables, tell=tell))
    except asyncio.CancelledError:
        raise BenchFailed("it was told to stop") from None
    finally:
        log.close()
        _keep(folder / FIGURES_NAME, machine, tables)
    tell(f"Every run's figures: {folder / FIGURES_NAME}")


async def _measure(
    folder: Path,
    only: Collection[str],
    messages: Sequence[int],
    log: Log,
    *,
    tables: list[Table],
    tell: Callable[[str], None],
) -> None:
    # Unwound as after a failure: SIGTERM's own way would leave everything running.
    this = asyncio.current_task()
    if this is None:
        raise AssertionError("a coroutine that runs is a task's")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    if "accept" in only and not postfix_source.is_there():
        tell("smtp-source is not installed: taking mail is measured with our own generator alone.\n")
    async for table in _all_tables(folder, only, messages, log, tell):
        tables.append(table)
        tell(table.render())


async def _all_tables(
    folder: Path, only: Collection[str], messages: Sequence[int], log: Log, tell: Callable[[str], None]
) -> AsyncIterator[Table]:
    with ExitStack() as running:
        remote_port = running.enter_context(running_program("remote", log))
        if {*only} - {"minute", "webmail"}:
            async for table in _shared(folder, remote_port, only, log, tell):
                yield table
        if "minute" in only:
            if postfix_source.is_there():
                with running_product(folder / "stack", remote_port, log) as product:
                    yield await measure_minute(product)
            else:
                tell("A minute of mail is not measured (smtp-source is not installed).\n")
        if "webmail" in only and (reason := browsing.why_not()):
            tell(f"The webmail is not measured ({reason}).\n")
        elif "webmail" in only:
            for size in messages:
                yield await _webmail(folder, remote_port, size, log, tell)


async def _webmail(
    folder: Path, remote_port: int, messages: int, log: Log, tell: Callable[[str], None]
) -> Table:
    """On a product of its own for each size: nothing else is in its database."""
    with running_product(folder / "stack", remote_port, log) as product:
        await product.wait_quiet()
        tell(f"Making a mailbox of {messages:,} messages.\n")
        await fill_mailbox(product, messages)
        await product.forget_database()
        return await measure_webmail(product, messages)


async def _shared(
    folder: Path, remote_port: int, only: Collection[str], log: Log, tell: Callable[[str], None]
) -> AsyncIterator[Table]:
    """The families that one stack serves in turn."""
    with ExitStack() as running:
        floor_port = running.enter_context(running_program("floors", log))
        product = running.enter_context(running_product(folder / "stack", remote_port, log))
        postfix = _start_peer(running, remote_port, log, tell) if {"accept", "relay"} & {*only} else None
        if "alternatives" in only and (reason := alternatives.why_not()):
            tell(f"What teams use instead is not measured ({reason}).\n")
            only = [one for one in only if one != "alternatives"]
        async for table in _families(product, floor_port, remote_port, postfix, only):
            yield table


async def _families(
    product: Product, floor_port: int, remote_port: int, postfix: Postfix | None, only: Collection[str]
) -> AsyncIterator[Table]:
    await product.wait_quiet()
    await product.forget_database()
    idle = read_memory(product)
    if "accept" in only:
        yield await measure_accept(product, floor_port, postfix)
        if postfix_source.is_there():
            yield await measure_intake(product, floor_port, postfix)
    if "visible" in only:
        yield await measure_visible(product)
    if "relay" in only:
        yield await measure_relay(product, remote_port, postfix)
        yield await measure_road(product, remote_port)
    if "alternatives" in only:
        yield await alternatives.measure_alternatives(product, remote_port)
    if "post" in only:
        yield await measure_post(product)
    if "large" in only:
        yield await measure_large(product)
    if "memory" in only:
        await product.wait_quiet()
        await product.forget_database()
        yield tabulate_memory(idle, read_memory(product))


def _start_peer(
    running: ExitStack, remote_port: int, log: Log, tell: Callable[[str], None]
) -> Postfix | None:
    if reason := why_not():
        tell(f"No peer: Postfix is not measured ({reason}).\n")
        return None
    port = choose_port(set())
    return running.enter_context(running_postfix(port, remote_port, connections=CONNECTIONS, log=log))


def _keep(path: Path, machine: Machine, tables: list[Table]) -> None:
    content = {
        "machine": asdict(machine),
        "tables": [{"title": table.title, "notes": table.notes, "rows": table.figures} for table in tables],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
