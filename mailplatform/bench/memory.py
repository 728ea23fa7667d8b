"""Memory: what every process of the stack holds, idle and after the other rows.

RSS counts shared pages in each process anew; PSS divides them among those who share, so that its total is what the
machine has given.
"""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mailplatform.bench.figures import Table
from mailplatform.bench.stack import Product
from mailplatform.embedded.orphans import find_marked, find_working_in
from mailplatform.embedded.place import find_data

_MEBIBYTE = 1024
_SERVERS = {"weed": "SeaweedFS", "valkey-server": "Valkey", "postgres": "PostgreSQL"}


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
    found["supervisor"] += _held(product.supervisor.pid)
    for pid in find_marked(product.data_dir):
        found[_title(pid)] += _held(pid)
    for pid in find_working_in(find_data(product.data_dir) / "data"):
        found["PostgreSQL"] += _held(pid)
    found.pop("", None)
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


def _title(pid: int) -> str:
    """ "" for one that has ended; a child of a process of ours is counted with it, by its own name."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    program = Path(words[0]).name.split(" ")[0].rstrip(":")
    if program in _SERVERS:
        return _SERVERS[program]
    if "manage.py" in words:
        return words[words.index("manage.py") + 1]
    if "mailplatform.embedded.sink" in words:
        return "sink"
    return f"{_title(_parent(pid))}'s children" if program.startswith("python") else program


def _parent(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return os.getpid()
    # The second field is a name in parentheses that may hold anything; the parent is the second after it.
    return int(status.rpartition(")")[2].split()[1])
