"""Statements that PostgreSQL reads and plans once in each connection, with their parameters apart.

Django writes the values into the text of a statement, so PostgreSQL reads a whole mail as SQL and plans each statement
anew: with a mail's rows, that was a third of what it did for them. What runs for every mail goes through psycopg's own
cursor instead, which prepares a statement when a connection has seen it five times. Errors are Django's as ever.

Where nobody needs an answer before the next question, `executed_together` spares the waits. A transaction's first
statement goes with its BEGIN then.

Limits: Django's log of queries does not see them. A statement names the columns it asks for, since the plan of `*`
would break in every connection when a migration adds one.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from django.db import connection

Question = tuple[str, Mapping[str, Any] | Sequence[Any]]


@contextmanager
def executed(
    statement: str,
    parameters: Mapping[str, Any] | Sequence[Any],
    *,
    binary: bool = False,
    prepare: bool | None = None,
) -> Iterator["psycopg.Cursor[tuple[Any, ...]]"]:
    """The statement's rows, on the thread's connection and in its transaction.

    `binary`: answered in PostgreSQL's binary format, in which many bytes are half as long and need no decoding.
    `prepare=False` has it planned each time: for one whose best plan changes with the size of a table that grows by
    thousands of rows within the minute that passes until PostgreSQL looks at its plans again.
    """
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement.encode(), parameters, binary=binary or None, prepare=prepare)
        yield cursor


def executed_together(*questions: Question, unprepared: Collection[str] = ()) -> list[list[tuple[Any, ...]]]:
    """The rows of several statements, which go to PostgreSQL one after the other without waiting for answers; none for
    what answers with none. What one of them did wrong is raised when all have been sent. `unprepared`: statements among
    them that are planned each time.
    """
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, ExitStack() as open_cursors:
        cursors = [open_cursors.enter_context(psycopg.Cursor(connection.connection)) for _ in questions]
        with connection.connection.pipeline():
            for cursor, (statement, parameters) in zip(cursors, questions, strict=True):
                prepare = False if statement in unprepared else None
                cursor.execute(statement.encode(), parameters, prepare=prepare)
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]
