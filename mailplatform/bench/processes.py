"""The processes of the product under measurement, by what they are, and the CPU time they have used."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mailplatform.bench.stack import Product
from mailplatform.embedded.orphans import find_marked, find_working_in
from mailplatform.embedded.place import find_data

_SERVERS = {"weed": "SeaweedFS", "valkey-server": "Valkey", "postgres": "PostgreSQL"}
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def find_processes(product: Product) -> dict[int, str]:
    """Titles by process id. PostgreSQL's processes have one title, and so have the children of a process of ours."""
    found = {product.supervisor.pid: "supervisor"}
    for pid in find_marked(product.data_dir):
        if title := _title(pid):
            found[pid] = title
    for pid in find_working_in(find_data(product.data_dir) / "data"):
        found[pid] = "PostgreSQL"
    return found


def read_cpu_seconds(product: Product) -> dict[str, float]:
    """User and system time by title, of children that have ended too."""
    used: dict[str, float] = defaultdict(float)
    for pid, title in find_processes(product).items():
        # proc(5): utime, stime, cutime and cstime are the 14th to 17th field; the second may hold anything.
        if fields := _stat(pid):
            used[title] += sum(int(ticks) for ticks in fields[11:15]) / _TICKS_PER_SECOND
    return dict(used)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds by process, of which every mail of a load takes its share; load and floor are not in it."""

    seconds: dict[str, float]
    mails: int

    @classmethod
    def since(cls, before: dict[str, float], product: Product, mails: int) -> Self:
        """What was used since `before`, as `read_cpu_seconds` gave it."""
        now = read_cpu_seconds(product)
        return cls({title: used - before.get(title, 0.0) for title, used in now.items()}, mails)

    def milliseconds(self) -> dict[str, float]:
        """By process, of one mail, the dearest first; what takes less than 0.05 ms is left out."""
        each = {title: used * 1000 / self.mails for title, used in self.seconds.items()}
        return {
            title: each[title] for title in sorted(each, key=lambda one: -each[one]) if each[title] >= 0.05
        }

    def show(self) -> str:
        each = self.milliseconds()
        total = sum(self.seconds.values()) * 1000 / self.mails
        return f"{total:.1f} ({', '.join(f'{title} {used:.1f}' for title, used in each.items())})"


def _title(pid: int) -> str:
    """ "" for one that has ended. A child of a process of ours is that one's."""
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
    fields = _stat(pid)
    return f"{_title(int(fields[1]))}'s children" if fields and program.startswith("python") else program


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, the state first; none for one that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
