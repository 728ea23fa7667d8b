"""Keeping all objects for a while, so that a copy of the bucket has what a copy of the database refers to.

Rows that are copied first say where bytes lie, and the bytes are copied after them. What is written anew between the
two (`repacking`) would be missing there. So whoever deletes objects holds a lock of PostgreSQL's, which any number may
hold at once, and who makes a copy holds it alone: nothing is deleted meanwhile, and everything is afterwards.

The lock ends with its connection. A copy that dies so keeps nobody from deleting; it is told when it has lost it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

from django.db import connection

_LOCK = 0xB10B5
P = ParamSpec("P")


class KeepingLost(Exception):
    """The connection that held the lock has ended: objects may have been deleted."""


def unless_kept(delete: Callable[P, int]) -> Callable[P, int]:
    """For what deletes objects and tells how many: none, while somebody keeps them."""

    @wraps(delete)
    def if_not_kept(*args: P.args, **kwargs: P.kwargs) -> int:
        if not _ask("pg_try_advisory_lock_shared"):
            return 0
        try:
            return delete(*args, **kwargs)
        finally:
            _ask("pg_advisory_unlock_shared")

    return if_not_kept


@contextmanager
def keeping_objects() -> Iterator[None]:
    """No object is deleted within; what is being deleted is waited for. Raises KeepingLost at the end."""
    _ask("pg_advisory_lock")
    try:
        yield
    finally:
        is_held = _ask("pg_advisory_unlock")
    if not is_held:
        raise KeepingLost


def _ask(function: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [_LOCK])
        row = cursor.fetchone()
    return bool(row and row[0])
