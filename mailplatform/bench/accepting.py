"""SMTP accept: how fast mail is taken into custody, and how fast it reaches its mailbox.

Floor, peer and ours take the same load from the same generator, in turn within each run, so that a slow hour of the
machine is everybody's. Ours and the peer deliver while they accept: that too is the same.
"""

from dataclasses import dataclass, field
from functools import partial

from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.figures import RATES_HEADER, Runs, Table
from mailplatform.bench.load import send_load
from mailplatform.bench.mails import Mails, size_title
from mailplatform.bench.peers import DOMAIN, Postfix, wait_delivered
from mailplatform.bench.postfix_source import send_by_source
from mailplatform.bench.processes import Cost, read_cpu_seconds
from mailplatform.bench.stack import Product

RUNS = 3
SESSIONS = 20
LOADS = ((4, 600), (60, 200))  # kilobytes, mails
_SENDER = "customer@bench.invalid"


# kilobytes, mails of a run, whether connections are kept
SOURCE_LOADS = ((4, 2000, True), (4, 1000, False), (60, 800, True), (60, 500, False))


async def measure_intake(product: Product, floor_port: int, postfix: Postfix | None) -> Table:
    """Taking mail and nothing else, by a generator that costs nothing: `postfix_source`. All three in one run.

    Raises BenchFailed when a mail is refused or not filed.
    """
    table = Table(f"SMTP accept, {SESSIONS} sessions of smtp-source", RATES_HEADER)
    table.notes.append("ours files and moves what it took beside it; bytes left for S3 when the load ended:")
    for kilobytes, count, keeps in SOURCE_LOADS:
        title = f"{size_title(kilobytes)}, {'connections kept' if keeps else 'a connection a mail'}"
        load = partial(
            send_by_source,
            size_bytes=kilobytes * 1024,
            count=count,
            sessions=SESSIONS,
            keeps_connections=keeps,
        )
        floor = Runs((await load(floor_port, recipient="anybody@floor.invalid"),))
        peer = None
        if postfix is not None:
            peer = Runs((await load(postfix.port, recipient=f"box@{DOMAIN}"),))
            await wait_delivered(postfix, count)
            postfix.empty_maildir()
        await product.wait_quiet()
        before = await product.count_filed()
        ours = Runs((await load(product.smtp_port, recipient=product.mailbox("shared")["address"]),))
        table.notes.append(f"  {title}: {await product.count_spooled()} of {count}")
        await product.wait_filed(before + count)
        table.add_rates(title, ours, floor=floor, peer=peer)
    return table


@dataclass(slots=True)
class _Size:
    """Rates per second, one a run."""

    floor: list[float] = field(default_factory=list)
    peer_accepted: list[float] = field(default_factory=list)
    peer_delivered: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    filed: list[float] = field(default_factory=list)
    filed_alone: list[float] = field(default_factory=list)
    cost: Cost | None = None


async def measure_accept(product: Product, floor_port: int, postfix: Postfix | None) -> Table:
    """Raises BenchFailed when a mail is refused or not filed."""
    table = Table(f"SMTP accept, {SESSIONS} sessions", RATES_HEADER)
    for kilobytes, count in LOADS:
        measured = _Size()
        for _ in range(RUNS):
            await _run(measured, product, floor_port, postfix, size_bytes=kilobytes * 1024, count=count)
        _add_rows(table, size_title(kilobytes), measured)
    loads = ", ".join(f"{count} of {size_title(kilobytes)}" for kilobytes, count in LOADS)
    table.notes += [
        f"{loads} a run, {RUNS} runs; one generator for all, command by command, one core of the machine is its own.",
        "ours: 250 after the commit. floor: stock aiosmtpd, keeps nothing. peer: Postfix to maildir.",
        "in the mailbox: from the first mail sent to the last one filed, whichever is slower deciding.",
    ]
    return table


async def _run(
    measured: _Size,
    product: Product,
    floor_port: int,
    postfix: Postfix | None,
    *,
    size_bytes: int,
    count: int,
) -> None:
    forgotten = Mails(size_bytes, _SENDER, "anybody@floor.invalid")
    measured.floor.append((await send_load(floor_port, forgotten, count=count, sessions=SESSIONS)).rate)
    if postfix is not None:
        mails = Mails(size_bytes, _SENDER, f"box@{DOMAIN}")
        load = await send_load(postfix.port, mails, count=count, sessions=SESSIONS)
        delivered_at = await wait_delivered(postfix, count)
        measured.peer_accepted.append(load.rate)
        measured.peer_delivered.append(count / (delivered_at - load.started_at))
        postfix.empty_maildir()
    await _run_ours(measured, product, size_bytes=size_bytes, count=count)


async def _run_ours(measured: _Size, product: Product, *, size_bytes: int, count: int) -> None:
    await product.wait_quiet()
    before, cpu_before = await product.count_filed(), read_cpu_seconds(product)
    mails = Mails(size_bytes, _SENDER, product.mailbox("shared")["address"])
    load = await send_load(product.smtp_port, mails, count=count, sessions=SESSIONS)
    waiting = count - (await product.count_filed() - before)
    filed_at = await product.wait_filed(before + count)
    if await product.count_filed() != before + count:
        raise BenchFailed("more mails were filed than were sent")
    measured.accepted.append(load.rate)
    measured.filed.append(count / (filed_at - load.started_at))
    await product.wait_quiet()
    measured.cost = Cost.since(cpu_before, product, count)
    if waiting:
        measured.filed_alone.append(waiting / (filed_at - load.ended_at))


def _add_rows(table: Table, size: str, measured: _Size) -> None:
    table.add_rates(
        f"{size}, accepted",
        Runs(tuple(measured.accepted)),
        floor=Runs(tuple(measured.floor)),
        peer=_runs(measured.peer_accepted),
    )
    table.add_rates(
        f"{size}, in the mailbox", Runs(tuple(measured.filed)), peer=_runs(measured.peer_delivered)
    )
    if measured.filed_alone:
        table.add_rates(f"{size}, filed when nothing arrives", Runs(tuple(measured.filed_alone)))
    if measured.cost:
        table.add_cost(f"{size}, accepted, filed and moved to S3", measured.cost)


def _runs(values: list[float]) -> Runs | None:
    return Runs(tuple(values)) if values else None
