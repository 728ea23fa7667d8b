"""Connections out of the pool, each known to work when it is handed out.

After a restart of PostgreSQL every idle connection is broken. The pool's own check (CONN_HEALTH_CHECKS) pauses 0, 1, 2
and 4 s between one it finds broken and the next, which from the sixth on is longer than anybody waits: a request then
fails although PostgreSQL has long been back. Here a broken one is given back, which has the pool make another, and the
next is taken at once.

A check is a round trip, as dear as a small statement, and a worker takes connections hundreds of times a second. So one
that was in use a second ago is only looked at: a server that went away has said so, and there is something to read.

Limits: a server that vanished without a word within that second, as a machine that lost its power does, fails the
statement instead of the check.
"""

import select
import time
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db.backends.postgresql import base
from psycopg_pool import ConnectionPool

TRUSTED_SECONDS = 1.0

_given_back_at: WeakKeyDictionary[Any, float] = WeakKeyDictionary()


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection that answers. Raises PoolTimeout, which is an OperationalError, when none can be had."""
        # As many as the pool holds may be broken; what it gives after those, it has just made. (Without a pool, as for
        # making the tests' database, each is new.)
        for _ in range(self.pool.max_size if self.pool else 0):
            connection = super().get_new_connection(conn_params)
            if _is_trusted(connection):
                return connection
            try:
                ConnectionPool.check_connection(connection)
            except psycopg.OperationalError:
                self.pool.putconn(connection)
            else:
                return connection
        return super().get_new_connection(conn_params)

    def _close(self) -> None:
        if self.connection is not None:
            _given_back_at[self.connection] = time.monotonic()
        super()._close()  # type: ignore[misc]  # the stubs leave it out


def _is_trusted(connection: Any) -> bool:
    """Whether it was in use a moment ago, and its server has said nothing since."""
    if time.monotonic() - _given_back_at.get(connection, float("-inf")) > TRUSTED_SECONDS:
        return False
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return not waiting.poll(0)
