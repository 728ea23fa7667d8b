"""The pool of connections outlives the server they lead to."""

import threading
from typing import cast

import pytest
from django.conf import settings
from django.db import OperationalError, connection

from apps.organisations.models import Organisation
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
