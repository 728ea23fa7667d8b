"""The sink: an SMTP server that takes every outgoing mail and keeps it as a file, so that a trial mails no
stranger.

`python -m mailplatform.embedded.sink` listens on 127.0.0.1, SINK_PORT. Each mail becomes two files in the
data folder's `sink/`: NAME.json with the envelope, then NAME.eml with the very bytes; names sort by time. A
crash may lose the last mail taken: this is a stand-in for a relay of a trial, and its promises are a trial's.
"""

import asyncio
import itertools
import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from mailplatform.environment import EnvironmentInvalid, read_environment

KEPT_MAILS = 20_000
MAX_SIZE_BYTES = 64 * 1024 * 1024
_FOLDER_NAME = "sink"


class Sink:
    """aiosmtpd's handler: accepts every sender, recipient and mail; keeps the newest `KEPT_MAILS`."""

    def __init__(self, folder: Path, *, kept_mails: int = KEPT_MAILS) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._kept_mails = kept_mails
        self._names = sorted(path.stem for path in folder.glob("*.eml"))
        self._counter = itertools.count()

    async def handle_DATA(self, _server: object, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail and answer 250; a full disk answers 452, so that the sender tries again."""
        try:
            name = self._keep(session, envelope)
        except OSError as error:
            return f"452 4.3.1 The sink cannot write: {error.strerror}"
        return f"250 2.0.0 Kept as {name}"

    def _keep(self, session: Session, envelope: Envelope) -> str:
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%S.%f}-{os.getpid()}-{next(self._counter):06}"
        facts = {
            "received_at": now.isoformat(),
            "mail_from": envelope.mail_from,
            "rcpt_tos": envelope.rcpt_tos,
            "helo": session.host_name,
            "peer": session.peer[0] if session.peer else None,
        }
        self._write(f"{name}.json", json.dumps(facts, indent=2).encode())
        self._write(f"{name}.eml", envelope.original_content or b"")
        self._names.append(name)
        self._forget_oldest()
        return name

    def _write(self, name: str, content: bytes) -> None:
        """Under its name only when whole: whoever watches the folder never reads half a mail."""
        draft = self._folder / f".{name}"
        draft.write_bytes(content)
        draft.rename(self._folder / name)

    def _forget_oldest(self) -> None:
        excess = len(self._names) - self._kept_mails
        for name in self._names[: max(excess, 0)]:
            for suffix in (".eml", ".json"):
                (self._folder / f"{name}{suffix}").unlink(missing_ok=True)
        del self._names[: max(excess, 0)]


class SinkProtocol(SMTP):
    """Takes lines of any length up to the size limit: refusing mail is not what the sink is for."""

    line_length_limit = MAX_SIZE_BYTES


async def serve(folder: Path, port: int) -> None:
    """Take mail until SIGTERM or SIGINT. Raises OSError when the port cannot be opened."""
    loop = asyncio.get_running_loop()
    sink = Sink(folder)
    server = await loop.create_server(
        lambda: SinkProtocol(
            sink,
            hostname="sink.invalid",
            ident="sink",
            data_size_limit=MAX_SIZE_BYTES,
            enable_SMTPUTF8=True,
            loop=loop,
        ),
        "127.0.0.1",
        port,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with server:
        await stop.wait()


def main() -> int:
    try:
        environment = read_environment()
        asyncio.run(serve(environment.data_dir / _FOLDER_NAME, environment.sink_port))
    except EnvironmentInvalid as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"SINK_PORT: cannot listen on port {environment.sink_port}: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
