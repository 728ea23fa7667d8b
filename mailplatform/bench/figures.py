"""Figures as they are measured and shown: medians with their ranges, percentiles, ratios, aligned tables."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mailplatform.bench.processes import Cost


@dataclass(frozen=True, slots=True)
class Runs:
    """The same measurement, several times."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def show(self) -> str:
        """The median, and from what to what it was."""
        if len(self.values) == 1:
            return _short(self.median)
        return f"{_short(self.median)} ({_short(min(self.values))}–{_short(max(self.values))})"


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds each."""

    values: tuple[float, ...]

    def percentile(self, percent: float) -> float:
        """The smallest value that is not exceeded by `percent` of all (nearest rank)."""
        rank = max(1, math.ceil(len(self.values) * percent / 100))
        return sorted(self.values)[rank - 1]

    def show(self) -> list[str]:
        """p50, p99 and the longest, in milliseconds, and how many there were."""
        milliseconds = [self.percentile(50) * 1000, self.percentile(99) * 1000, max(self.values) * 1000]
        return [*(_short(one) for one in milliseconds), str(len(self.values))]


def ratio(ours: Runs | None, other: Runs | None) -> str:
    """How many times the other's median ours is; "" where one was not measured."""
    return f"{ours.median / other.median:.2f}" if ours and other else ""


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


@dataclass(slots=True)
class Table:
    """One printed table and its figures for the JSON file. `notes` say what was done and what is not in it."""

    title: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)

    def add_rates(
        self, title: str, ours: Runs | None, *, floor: Runs | None = None, peer: Runs | None = None
    ) -> None:
        """A row of rates per second beside their floor and their peer."""
        shown = [one.show() if one else "" for one in (ours, floor, peer)]
        self.rows.append([title, *shown, ratio(ours, floor), ratio(ours, peer)])
        measured = {"ours": ours, "floor": floor, "peer": peer}
        values = {name: list(one.values) for name, one in measured.items() if one}
        self.figures.append({"row": title, "unit": "per second", **values})

    def add_latencies(self, title: str, latencies: Latencies) -> None:
        self.rows.append([title, *latencies.show()])
        self.figures.append({"row": title, "unit": "seconds", "values": list(latencies.values)})

    def add_cost(self, title: str, cost: Cost) -> None:
        """A line of CPU time: it tells where the time goes, and a busy machine changes it less than a rate."""
        self.notes.append(f"CPU ms a mail, {title}: {cost.show()}.")
        self.figures.append({"row": title, "unit": "CPU milliseconds a mail", "values": cost.milliseconds()})

    def render(self) -> str:
        """The table as text: first column to the left, the others to the right."""
        lines = [list(self.header), *(list(row) for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]
        shown = [_align(line, widths) for line in lines]
        shown.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([self.title, "", *shown, "", *(f"  {note}" for note in self.notes)]).rstrip() + "\n"


RATES_HEADER = ("per second, median (from–to)", "ours", "floor", "peer", "ours/floor", "ours/peer")
LATENCIES_HEADER = ("milliseconds", "p50", "p99", "longest", "measured")


def _align(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    text = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "  ".join(text).rstrip()
