"""Postfix's own load generator, `smtp-source`: in C, so that what it takes from the cores is next to nothing.

It comes with Postfix, and so is there wherever the peer is. Its mails of one load are all alike but for their
Message-ID, which it writes from its process id and its counter, so that nobody takes them for repetitions.
"""

import asyncio
import shutil
import time

from mailplatform.bench.errors import BenchFailed

_PROGRAM = "smtp-source"
_LONGEST_SECONDS = 300.0


def is_there() -> bool:
    return shutil.which(_PROGRAM) is not None


async def send_by_source(
    port: int, *, size_bytes: int, count: int, sessions: int, recipient: str, keeps_connections: bool
) -> float:
    """Mails accepted per second. `keeps_connections`: or else each mail has one of its own.

    Raises BenchFailed when one is refused, at which it ends.
    """
    words = ["-s", str(sessions), "-m", str(count), "-l", str(size_bytes), "-f", "customer@bench.invalid"]
    words += ["-t", recipient, *(["-d"] if keeps_connections else []), f"127.0.0.1:{port}"]
    began_at = time.monotonic()
    source = await asyncio.create_subprocess_exec(
        _PROGRAM, *words, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            _out, said = await source.communicate()
    except TimeoutError as error:
        raise BenchFailed(f"{_PROGRAM} was not done within {_LONGEST_SECONDS:.0f} s") from error
    finally:
        if source.returncode is None:
            source.kill()
            await source.wait()
    if source.returncode:
        raise BenchFailed(f"{_PROGRAM}: {' '.join(said.decode(errors='replace').split())[-300:]}")
    return count / (time.monotonic() - began_at)
