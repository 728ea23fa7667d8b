"""Memory: what every process of the stack holds, idle and after the other rows.

RSS counts shared pages in each process anew; PSS divides them among those who share, so that its total is what the
machine has given.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mailplatform.bench.figures import Table
from mailplatform.bench.processes import find_processes
from mailplatform.bench.stack import Product

_MEBIBYTE = 1024


@dataclass(frozen=True, slots=True)
class Held:
    """Kibibytes."""

    rss: int = 0
    pss: int = 0
    processes: int = 0

    def __add__(self, other: "Held") -> "Held":
        return Held(self.rss + other.rss, self.pss + other.pss, self.processes + other.processes)


def read_memory(product: Product) -> dict[str, Held]:
    """By what it is; several processes of one kind are added up."""
    found: dict[str, Held] = defaultdict(Held)
    for pid, title in find_processes(product).items():
        found[title] += _held(pid)
    return dict(found)


def tabulate_memory(idle: dict[str, Held], after: dict[str, Held]) -> Table:
    """Idle beside after the run."""
    header = ("MiB", "processes", "RSS idle", "PSS idle", "processes", "RSS after", "PSS after")
    table = Table("Memory", header)
    for title in sorted(idle.keys() | after.keys(), key=lambda one: -after.get(one, Held()).pss):
        _add(table, title, idle.get(title, Held()), after.get(title, Held()))
    _add(table, "total", sum(idle.values(), Held()), sum(after.values(), Held()))
    table.notes.append(
        "PSS shares out what processes have in common, so its total is what the machine has given."
    )
    return table


def _add(table: Table, title: str, idle: Held, after: Held) -> None:
    cells = [title]
    for held in (idle, after):
        cells += [str(held.processes), f"{held.rss / _MEBIBYTE:.0f}", f"{held.pss / _MEBIBYTE:.0f}"]
    table.rows.append(cells)
    kibibytes = {
        "idle": {"rss": idle.rss, "pss": idle.pss},
        "after": {"rss": after.rss, "pss": after.pss},
    }
    table.figures.append({"row": title, "unit": "KiB", **kibibytes})


def _held(pid: int) -> Held:
    """Nothing for a process that has ended meanwhile."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return Held()
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
    return Held(sizes["Rss"], sizes["Pss"], 1) if "Rss" in sizes else Held()
