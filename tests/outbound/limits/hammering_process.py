"""A process that sends as fast as one limiter lets it, and prints when each of its messages was at the server.

Run by `test_processes`, as `python -m tests.outbound.limits.hammering_process` with the URL of Redis, the prefix, the
window's length in milliseconds, its limit, the bound of connections, and for how many seconds.
"""

import asyncio
import json
import random
import sys
import time

import django

django.setup()

from apps.outbound.limits.bounds import Bounds, Demand, Demands, Window  # noqa: E402
from apps.outbound.models import LimitScope  # noqa: E402
from tests.outbound.limits.limiting import ShortBounds, limiter  # noqa: E402

CONVERSATIONS = 20


async def hammer(
    url: str, prefix: str, *, length_ms: int, limit: int, connections: int, seconds: float
) -> list[list[float]]:
    """The time each message was at the server, and how many were with it there, of this process."""
    bounds: Bounds = ShortBounds(Window(length_ms, limit))
    object.__setattr__(bounds, "connections", connections)
    wanted = Demands((Demand("relay:hammered", LimitScope.RELAY, "Relay hammered", bounds),))
    seen: list[list[float]] = []
    until = time.monotonic() + seconds

    async with limiter(url=url, prefix=prefix) as limits:

        async def converse() -> None:
            while time.monotonic() < until:
                left = until - time.monotonic()
                granted = await limits.admit(wanted, patience_seconds=max(0, left))
                if hasattr(granted, "until"):
                    await asyncio.sleep(min(0.05, max(0, left)))
                    continue
                begun = time.time()
                await asyncio.sleep(random.uniform(0, 0.004))  # noqa: S311 - the way to the server
                at = time.time()
                await asyncio.sleep(random.uniform(0, 0.004))  # noqa: S311 - and back
                seen.append([begun, at, time.time()])
                await limits.release(granted)

        await asyncio.gather(*(converse() for _one in range(CONVERSATIONS)))
    return seen


def main() -> None:
    url, prefix, length_ms, limit, connections, seconds = sys.argv[1:]
    seen = asyncio.run(
        hammer(
            url,
            prefix,
            length_ms=int(length_ms),
            limit=int(limit),
            connections=int(connections),
            seconds=float(seconds),
        )
    )
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()
