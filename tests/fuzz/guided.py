"""Coverage-guided fuzzing of one target: `python -m tests.fuzz.guided TARGET SECONDS FOLDER`.

atheris (libFuzzer) changes inputs and keeps those that reach new lines, in FOLDER/TARGET, where the next run goes on
from. Whatever raises, or takes more than ten seconds of the processor, or more than 2 GB, ends the run with a status
that is not 0 and its input in FOLDER/TARGET-crash-…; make a test of it. What hangs without working is ended after five
minutes: a busy machine must not look like slow code.

It runs one target for `campaign`, which runs them all.
"""

import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["apps", "tests.fuzz", "icalendar", "tinycss2"]):
    from tests.fuzz.targets import TARGETS, seeds

    if sys.argv[1] not in TARGETS:
        from tests.fuzz import with_django

        TARGETS |= with_django.TARGETS

SLOWEST_SECONDS = 10
HANGS_AFTER_SECONDS = 300
MOST_MEGABYTES = 2048
LONGEST_BYTES = 65536


class TooSlowError(Exception):
    """The input took longer than anything may."""


def timed(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The target, which raises TooSlowError after an input that kept the processor too long."""

    def run(data: bytes) -> None:
        started = time.thread_time()
        target(data)
        if (took := time.thread_time() - started) > SLOWEST_SECONDS:
            raise TooSlowError(f"{took:.1f} s for {len(data)} bytes")

    return run


def main() -> None:
    target, seconds, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    found = folder / target
    found.mkdir(parents=True, exist_ok=True)
    for seed in seeds(target):
        (found / hashlib.sha256(seed).hexdigest()[:32]).write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={HANGS_AFTER_SECONDS}",
        f"-rss_limit_mb={MOST_MEGABYTES}",
        f"-artifact_prefix={folder / target}-",
        "-print_final_stats=1",
        f"-max_len={LONGEST_BYTES}",
        str(found),
    ]
    atheris.Setup([sys.argv[0], *options], timed(TARGETS[target]))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
