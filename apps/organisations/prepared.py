"""Statements that PostgreSQL reads and plans once in each connection, with their parameters apart.

Django writes the values into the text of a statement, so PostgreSQL reads a whole mail as SQL and plans each statement
anew: with a mail's rows, that was a third of what it did for them. What runs for every mail goes through psycopg's own
cursor instead, which prepares a statement when a connection has seen it five times. Errors are Django's as ever.

Where nobody needs an answer before the next question, `pipelined` spares the waits.

Limits: Django's log of queries does not see them. A statement names the columns it asks for, since the plan of `*`
would break in every connection when a migration adds one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection


@contextmanager
def executed(
    statement: str, parameters: Mapping[str, Any] | Sequence[Any]
) -> Iterator["psycopg.Cursor[tuple[Any, ...]]"]:
    """The statement's rows, on the thread's connection and in its transaction."""
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement.encode(), parameters)
        yield cursor


@contextmanager
def pipelined() -> Iterator[None]:
    """Statements executed within go to PostgreSQL one after the other without waiting for answers. What they answer is
    known, and what one of them did wrong is raised, when the block has ended.
    """
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield
