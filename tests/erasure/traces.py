"""Looking for what should be gone: in every column of every table, in every object, and in the cache."""

from collections.abc import Iterable

from django.core.cache import cache
from django.db import connection

from apps.blobs.object_store import object_store


def tables_that_say(word: str) -> list[str]:
    """Tables with a row whose text, JSON, arrays, search vectors or bytes say the word, in any case."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for table in tables:
            # A row as text shows bytes in hexadecimal.
            cursor.execute(
                f"SELECT count(*) FROM {table} AS here WHERE"  # noqa: S608 - PostgreSQL's own names
                " strpos(lower(here::text), %s) > 0 OR strpos(here::text, %s) > 0",
                [word.lower(), word.encode().hex()],
            )
            if cursor.fetchone() != (0,):
                found.append(table)
    return found


def objects_that_say(word: str) -> list[str]:
    """Objects of the bucket whose bytes say the word."""
    wanted = word.lower().encode()
    return [
        stored.key
        for stored in object_store().objects("")
        if wanted in object_store().get(stored.key).lower()
    ]


def contents_in_cache(blob_ids: Iterable[object]) -> list[str]:
    """Which of these blobs Redis still remembers."""
    return sorted(cache.get_many([f"blob:{blob_id}" for blob_id in blob_ids]))


def empty_bucket() -> None:
    """Objects of earlier tests lie in the same bucket."""
    for stored in list(object_store().objects("")):
        object_store().delete(stored.key)
