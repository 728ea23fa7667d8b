"""Several processes at one limit, in real time: together never more than allowed, and nearly as much."""

import json
import subprocess
import sys

import pytest
from django.conf import settings

from tests.outbound.limits.limiting import most_in_any_window, new_prefix

pytestmark = pytest.mark.processes

PROCESSES = 4
WINDOW_SECONDS = 2.0
LIMIT = 100
CONNECTIONS = 12
SECONDS = 8.0


def test_processes_together_never_exceed_a_limit_and_nearly_reach_it() -> None:
    numbers = [round(WINDOW_SECONDS * 1000), LIMIT, CONNECTIONS, SECONDS]
    arguments = [settings.REDIS_URL, new_prefix(), *map(str, numbers)]
    command = [sys.executable, "-m", "tests.outbound.limits.hammering_process"]
    running = [
        subprocess.Popen(
            [*command, *arguments],
            cwd=settings.BASE_DIR,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _process in range(PROCESSES)
    ]
    seen = [one for process in running for one in json.loads(process.communicate(timeout=120)[0])]
    assert all(process.returncode == 0 for process in running)

    at_server = [at for _begun, at, _ended in seen]
    assert most_in_any_window(at_server, WINDOW_SECONDS) <= LIMIT
    assert most_at_once(seen) <= CONNECTIONS
    # A message counts for its window, its rounding (1/200) and as long as it takes: here some milliseconds.
    assert len(seen) >= 0.95 * LIMIT * SECONDS / WINDOW_SECONDS


def most_at_once(seen: list[list[float]]) -> int:
    changes = sorted([(begun, 1) for begun, _at, _end in seen] + [(ended, -1) for _b, _at, ended in seen])
    now = most = 0
    for _moment, change in changes:
        now += change
        most = max(most, now)
    return most
