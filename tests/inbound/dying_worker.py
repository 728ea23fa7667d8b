"""A worker that dies by SIGKILL at a named point of its first message. Run by tests, over their database.

python -m tests.inbound.dying_worker claimed|filing|filed
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django


def die_after(function: Callable[..., Any]) -> Callable[..., Any]:
    def call_and_die(*args: Any, **named: Any) -> Any:
        function(*args, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return call_and_die


def main(point: str) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "mailplatform.settings"  # noqa: TID251
    django.setup()
    from apps.inbound import ingest

    # claimed: leased and parsed, nothing written. filing: everything written, nothing committed. filed: committed.
    places: dict[str, tuple[object, str]] = {
        "claimed": (ingest, "_prepare"),
        "filing": (ingest, "require_ours"),
        "filed": (ingest.filing, "entrust"),
    }
    place, name = places[point]
    setattr(place, name, die_after(getattr(place, name)))
    ingest.ingest_due(limit=1, seconds=60)


if __name__ == "__main__":
    main(sys.argv[1])
