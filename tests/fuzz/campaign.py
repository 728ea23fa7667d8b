"""Fuzz every reader of hostile bytes, one after the other: `make fuzz MINUTES=60`.

Each target has a process of its own (`guided`) and an equal share of the time. The table tells how many inputs were
tried and what was found; the status is 1 when anything was.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = (
    "message", "headers", "html", "quotes", "charset", "tnef", "rtf", "calendar", "encoded", "bounce", "smtp"
)  # fmt: skip
_TRIED = re.compile(rb"stat::number_of_executed_units:\s*(\d+)")
_FAULT = re.compile(rb"^(?:[\w.]*(?:Error|Exception)\b.*|==\d+== ERROR: .*)$", re.MULTILINE)
GRACE_SECONDS = 360  # longer than `guided` lets anything hang


@dataclass(frozen=True)
class Run:
    """What came of one target. `fault` is "" when nothing was found."""

    target: str
    tried: int
    fault: str


def fuzz(target: str, seconds: int, folder: Path) -> Run:
    """Fuzz one target for so long, beginning with what `folder` holds from earlier runs."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.guided", target, str(seconds), str(folder)],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "mailplatform.settings"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=seconds + GRACE_SECONDS,
        check=False,
    )
    tried = _TRIED.search(done.stderr)
    fault = _FAULT.search(done.stderr)
    why = fault[0].decode(errors="replace") if fault else f"status {done.returncode}"
    return Run(target, int(tried[1]) if tried else 0, why if done.returncode else "")


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    folder = ROOT / "var" / "fuzz"
    seconds = max(1, int(minutes * 60 / len(NAMES)))
    runs = []
    for name in NAMES:
        runs.append(fuzz(name, seconds, folder))
        run = runs[-1]
        print(f"{run.target:<10}{run.tried:>12} inputs  {run.fault or 'nothing found'}", flush=True)  # noqa: T201
    sys.exit(any(run.fault for run in runs))


if __name__ == "__main__":
    main()
