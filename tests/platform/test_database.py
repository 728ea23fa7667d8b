"""The pool of connections outlives the server they lead to."""

import threading
from typing import cast

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from psycopg_pool import ConnectionPool

from apps.organisations.models import Organisation
from mailplatform.database import base
from mailplatform.database.base import DatabaseWrapper
from tests.servers import Servers

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = settings.DATABASES["default"]["OPTIONS"]["pool"]["timeout"]


def leave_idle_connections(count: int) -> None:
    """`count` requests at the same moment, each with a connection of its own, which they leave to the pool."""
    all_connected = threading.Barrier(count)

    def ask() -> None:
        Organisation.objects.exists()
        all_connected.wait(PATIENCE_SECONDS)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connection.close()


def test_a_request_after_a_restart_meets_no_broken_connection_however_many_there_are(
    servers: Servers,
) -> None:
    leave_idle_connections(10)
    servers.postgres.stop()
    servers.postgres.restart()
    assert not Organisation.objects.exists()


def test_a_connection_that_broke_a_moment_ago_is_not_handed_out(servers: Servers) -> None:
    leave_idle_connections(10)
    with connection.cursor() as cursor:
        # Within the second for which they are trusted.
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.rowcount >= 9
    connection.close()
    idle = cast(DatabaseWrapper, connection).pool.max_size
    for _ in range(idle):
        assert not Organisation.objects.exists()
        connection.close()


def test_a_connection_in_use_a_moment_ago_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = list[object]()
    monkeypatch.setattr(ConnectionPool, "check_connection", checked.append)
    connection.close()
    idle = cast(DatabaseWrapper, connection).pool.get_stats()["pool_available"]

    def ask_over_each() -> int:
        before = len(checked)
        for _ in range(idle):
            assert not Organisation.objects.exists()
            connection.close()
        return len(checked) - before

    ask_over_each()
    monkeypatch.setattr(base, "TRUSTED_SECONDS", 60)
    assert ask_over_each() == 0
    monkeypatch.setattr(base, "TRUSTED_SECONDS", -1)
    assert ask_over_each() == idle


@pytest.mark.slow
def test_after_a_long_outage_the_first_request_is_answered(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty seconds: a pause that went on doubling would then be longer than anybody waits."""
    leave_idle_connections(1)
    monkeypatch.setattr(cast(DatabaseWrapper, connection).pool, "timeout", PATIENCE_SECONDS / 2)
    servers.postgres.stop()
    for _request in range(4):
        with pytest.raises(OperationalError):
            Organisation.objects.exists()
    servers.postgres.restart()
    assert not Organisation.objects.exists()
