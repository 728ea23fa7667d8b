"""The floor of accepting mail: stock aiosmtpd whose handler does nothing.

`python -m mailplatform.bench.floors PORT` listens on 127.0.0.1 until SIGTERM, as aiosmtpd's users run it: on asyncio's
own loop, with its own reading of DATA. (The floor of relaying needs no program: it is the load generator sending
straight to the remote server, see `relaying`.)
"""

import asyncio
import signal
import sys

from aiosmtpd.smtp import SMTP, Envelope, Session


class Forgetful:
    """Promises 250 and keeps nothing."""

    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        return "250 2.0.0 Forgotten"


async def serve(port: int) -> None:
    """Raises OSError when the port cannot be opened."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Forgetful(), hostname="floor.invalid", loop=loop), "127.0.0.1", port
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with server:
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
