"""Connections out of the pool, each known to work when it is handed out.

After a restart of PostgreSQL every idle connection is broken. The pool's own check (CONN_HEALTH_CHECKS) pauses 0, 1, 2
and 4 s between one it finds broken and the next, which from the sixth on is longer than anybody waits: a request then
fails although PostgreSQL has long been back. Here a broken one is given back, which has the pool make another, and the
next is taken at once.

Limits: a round trip for each time a connection is taken, which the pool's own check costs too.
"""

from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg_pool import ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection that answers. Raises PoolTimeout, which is an OperationalError, when none can be had."""
        # As many as the pool holds may be broken; what it gives after those, it has just made. (Without a pool, as for
        # making the tests' database, each is new.)
        for _ in range(self.pool.max_size if self.pool else 0):
            connection = super().get_new_connection(conn_params)
            try:
                ConnectionPool.check_connection(connection)
            except psycopg.OperationalError:
                self.pool.putconn(connection)
            else:
                return connection
        return super().get_new_connection(conn_params)
