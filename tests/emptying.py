"""Emptying the database after a test that committed: only the tables that hold something.

Django truncates every table after every such test. PostgreSQL makes new files for each of sixty tables and their
indexes then, although a test writes to five. Here it is asked which tables have rows, and those are emptied row by
row, or all truncated where a test made very many.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.db.backends.postgresql.operations import DatabaseOperations

MANY_ROWS = 5000
_COUNT = "(SELECT count(*) FROM (SELECT FROM {} LIMIT 5000) AS several)"
_DELETE = "DELETE FROM {}"


def _statements(self: DatabaseOperations, _style: Any, tables: Sequence[str], **options: Any) -> list[str]:
    quoted = [self.quote_name(table) for table in tables]
    if not quoted:
        return []
    counts = ", ".join(_COUNT.format(table) for table in quoted)
    with self.connection.cursor() as cursor:
        cursor.execute(f"SELECT {counts}")
        found = dict(zip(quoted, cursor.fetchone(), strict=True))
    if options.get("reset_sequences") or max(found.values()) >= MANY_ROWS:
        restart = " RESTART IDENTITY" if options.get("reset_sequences") else ""
        return [f"TRUNCATE {', '.join(quoted)}{restart} CASCADE"]
    # Foreign keys are checked when the transaction ends, so that any order will do.
    return [_DELETE.format(table) for table, count in found.items() if count]


@pytest.fixture(autouse=True, scope="session")
def empty_only_what_is_full() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", _statements)
        yield
