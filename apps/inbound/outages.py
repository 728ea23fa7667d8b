"""Is it a server that is away, or is it this mail?

The difference decides whether an attempt is counted. psycopg calls both a lost connection and a row that is too long an
OperationalError, so the class alone does not tell; the SQLSTATE does (PostgreSQL's documentation, appendix A).
"""

from django.db import DatabaseError, InterfaceError, OperationalError

from apps.blobs.errors import ObjectStoreUnavailable

# Connection lost, transaction rolled back (deadlock), out of resources, shut down by an operator, system error.
_OUTAGE_CLASSES = ("08", "40", "53", "57", "58")
_ROLLED_BACK = "40"


def is_outage(error: BaseException) -> bool:
    """Whether trying the same again later may work without anybody changing anything."""
    if isinstance(error, ObjectStoreUnavailable | InterfaceError):
        return True
    if not isinstance(error, DatabaseError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    if state is None:
        # No answer from PostgreSQL at all: the connection, or the wait for one.
        return isinstance(error, OperationalError)
    return str(state).startswith(_OUTAGE_CLASSES)


def is_away(error: Exception) -> bool:
    """Whether PostgreSQL or S3 is away, rather than a transaction taken back, which may be tried again at once."""
    state = getattr(error.__cause__, "sqlstate", None)
    return is_outage(error) and not str(state).startswith(_ROLLED_BACK)
