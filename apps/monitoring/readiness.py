"""Is everything there that a customer's mail and an agent's answer need? Asked by load balancers and the supervisor."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import DatabaseError, connection
from redis.exceptions import RedisError

from apps.blobs.errors import ObjectStoreUnavailable
from apps.blobs.object_store import object_store
from apps.monitoring.heartbeat import connect, living


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency: whether it answers, and if not what is wrong, without addresses or secrets."""

    name: str
    ok: bool
    detail: str = ""


def readiness() -> list[Check]:
    """Every server and every kind of process, asked now."""
    return [
        _ask("database", _database),
        _ask("object_store", object_store().check),
        *_redis_and_processes(),
    ]


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _ask(name: str, question: Callable[[], None]) -> Check:
    try:
        question()
    except (DatabaseError, ObjectStoreUnavailable, RedisError) as error:
        return Check(name, ok=False, detail=type(error).__name__)
    return Check(name, ok=True)


def _redis_and_processes() -> list[Check]:
    try:
        counts = living(connect())
    except RedisError as error:
        return [Check("redis", ok=False, detail=type(error).__name__)]
    processes = [
        Check(kind, ok=count > 0, detail="" if count else "no process of this kind is alive")
        for kind, count in counts.items()
    ]
    return [Check("redis", ok=True), *processes]
