"""The product under measurement: `python -m mailplatform.embedded` on a fresh data folder and free ports.

Its relay is the run's remote server, so that no captured mail is written to the disk by somebody else meanwhile. Of the
caller's environment it gets nothing: it is measured with its defaults.
"""

import asyncio
import http.client
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from mailplatform.bench.errors import BenchFailed
from mailplatform.embedded.access import EmbeddedAccess
from mailplatform.embedded.child import Child
from mailplatform.embedded.errors import StackFailed
from mailplatform.embedded.folder import FolderLock
from mailplatform.embedded.log import Log
from mailplatform.embedded.place import find_data
from mailplatform.embedded.ports import choose_port
from mailplatform.environment import PROJECT_ROOT

READY_SECONDS = 120.0
# Nothing moves for so long: what waits then will not come.
STALLED_SECONDS = 60.0
_STOP_SECONDS = 20.0
_PORTS = ("WEB_PORT", "SMTP_PORT", "SUBMISSION_PORT", "SINK_PORT")

_WAITING = """
    SELECT (SELECT count(*) FROM inbound_receivedmessage WHERE state IN ('accepted', 'ingesting'))
         + (SELECT count(*) FROM outbound_delivery WHERE state IN ('queued', 'sending', 'deferred'))
         + (SELECT count(*) FROM blobs_spooledbytes)
"""
_FILED = "SELECT count(*) FROM inbound_receivedmessage WHERE state = 'filed'"
_SPOOLED = "SELECT count(*) FROM blobs_spooledbytes"
_MAKE_DUE = """
    WITH due AS (
        UPDATE outbound_delivery SET due_at = now() + make_interval(secs => %s) WHERE state = 'scheduled' RETURNING 1
    ) SELECT count(*) FROM due
"""
_SENT = "SELECT count(*) FROM outbound_delivery WHERE state = 'sent'"


@dataclass(slots=True)
class Progress:
    """Ends a wait for a number that has stopped changing; a slow machine may take its time."""

    what: str
    wanted: int
    _last: int = -1
    _changed_at: float = 0.0

    def note(self, count: int) -> None:
        """Raises BenchFailed when the count has been the same for too long."""
        now = time.monotonic()
        if count != self._last:
            self._last, self._changed_at = count, now
        elif now - self._changed_at > STALLED_SECONDS:
            raise BenchFailed(
                f"{count} {self.what} instead of {self.wanted}, for {STALLED_SECONDS:.0f} s now"
            )


@dataclass(slots=True)
class Product:
    """A running stack. `demo` is demo.json. Its counts are asked on one event loop."""

    data_dir: Path
    supervisor: Child
    web_port: int
    smtp_port: int
    demo: dict[str, Any]
    database_url: str
    _connection: "psycopg.AsyncConnection[tuple[int]] | None" = None

    @property
    def api_key(self) -> str:
        return str(self.demo["api_key"])

    def mailbox(self, kind: str) -> dict[str, str]:
        """The first mailbox of a kind: its id and address."""
        return next(one for one in self.demo["mailboxes"] if one["kind"] == kind)

    async def count_filed(self) -> int:
        return await self._count(_FILED)

    async def count_sent(self) -> int:
        return await self._count(_SENT)

    async def count_spooled(self) -> int:
        """How many contents wait for S3."""
        return await self._count(_SPOOLED)

    async def wait_filed(self, count: int) -> float:
        """When (monotonic seconds, to 20 ms) so many were filed in all. Raises BenchFailed when no more come."""
        progress = Progress("mails were filed", count)
        while (filed := await self.count_filed()) < count:
            progress.note(filed)
            await asyncio.sleep(0.02)
        return time.monotonic()

    async def wait_quiet(self) -> None:
        """Until nothing waits to be filed, sent or moved to S3, so that one row does not pay for another."""
        progress = Progress("rows still wait", 0)
        while waiting := await self._count(_WAITING):
            progress.note(waiting)
            await asyncio.sleep(0.2)

    async def wait_stored(self) -> None:
        """Until no bytes wait for S3 any more. Raises BenchFailed when they stay."""
        progress = Progress("bytes wait for S3", 0)
        while waiting := await self._count(_SPOOLED):
            progress.note(waiting)
            await asyncio.sleep(0.1)

    async def make_due(self, count: int, seconds: float) -> None:
        """Let what is scheduled be due so many seconds from now. Raises BenchFailed unless it is `count` mails."""
        moved = await self._count(_MAKE_DUE, [seconds])
        if moved != count:
            raise BenchFailed(f"{moved} of {count} mails were waiting for their time")

    async def forget_database(self) -> None:
        """Close the connection of the counts: a process of PostgreSQL's that is not the product's."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _count(self, query: LiteralString, parameters: Sequence[float] = ()) -> int:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(self.database_url, autocommit=True)
        row = await (await self._connection.execute(query, parameters)).fetchone()
        if row is None:
            raise BenchFailed("a count came without a row")
        return int(row[0])


@contextmanager
def running_product(data_dir: Path, remote_port: int, log: Log) -> Iterator[Product]:
    """The product on an empty `data_dir`, its relay on `remote_port`; stopped afterwards.

    Its data are removed after a run that went well; what a failed one leaves, logs among it, stays until the next.
    Raises BenchFailed when it does not come up.
    """
    remove_data(data_dir)
    taken: set[int] = set()
    ports = {name: choose_port(taken) for name in _PORTS}
    supervisor = Child(
        "product",
        [sys.executable, "-m", "mailplatform.embedded"],
        log=log,
        cwd=PROJECT_ROOT,
        env={
            "PATH": os.defpath,
            **{name: str(port) for name, port in ports.items()},
            "MAILPLATFORM_DATA_DIR": str(data_dir),
            "RELAY_URL": f"smtp://127.0.0.1:{remote_port}",
        },
    )
    try:
        _wait_ready(supervisor, ports["WEB_PORT"], log)
        access = EmbeddedAccess.read(data_dir)
        if access is None:
            raise BenchFailed(f"{data_dir} has no embedded.json")
        yield Product(
            data_dir=data_dir,
            supervisor=supervisor,
            web_port=ports["WEB_PORT"],
            smtp_port=ports["SMTP_PORT"],
            demo=json.loads((data_dir / "demo.json").read_text()),
            database_url=access.postgres.url,
        )
    finally:
        if supervisor.is_running:
            supervisor.stop(signal.SIGTERM, grace_seconds=_STOP_SECONDS)
    remove_data(data_dir)


def remove_data(data_dir: Path) -> None:
    """Remove what a run left, wherever PostgreSQL's part lies. Raises BenchFailed while somebody works in it."""
    if not data_dir.exists():
        return
    try:
        with FolderLock(data_dir):
            shutil.rmtree(find_data(data_dir), ignore_errors=True)
            shutil.rmtree(data_dir)
    except StackFailed as error:
        raise BenchFailed(str(error)) from error


def _wait_ready(supervisor: Child, web_port: int, log: Log) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _is_ready(web_port):
        if not supervisor.is_running:
            raise BenchFailed(f"the product {supervisor.describe_end()}: {log.last_words('product')}")
        if time.monotonic() > deadline:
            raise BenchFailed(f"the product was not ready within {READY_SECONDS:.0f} s")
        time.sleep(0.2)


def _is_ready(web_port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", web_port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
