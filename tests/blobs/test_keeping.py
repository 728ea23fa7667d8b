"""While somebody makes a copy, no object is deleted."""

import sys
import threading
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from apps.blobs.discarding import delete_discarded, discard, remove_orphans
from apps.blobs.keeping import KeepingLost, keeping_objects
from apps.blobs.models import Blob, DiscardedObject, Pack
from apps.blobs.object_store import object_store
from apps.blobs.offloading import offload
from apps.blobs.repacking import repack_some
from apps.blobs.services import put, put_all, stage, stage_together
from tests.erasure.traces import empty_bucket
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)


def something_to_delete(house: House) -> None:
    """A hole in a pack, an object that is nobody's any more, and one that never was anybody's."""
    empty_bucket()
    alone = put(house.organisation.pk, stage(b"alone"))
    offload()
    packed = put_all(house.organisation.pk, [stage(b"one"), stage(b"two")])
    offload()
    Pack.objects.update(created_at=timezone.now() - timedelta(days=1))
    discard([alone.pk, packed[0].pk])
    stage_together([b"never put"])


def delete_all_there_is() -> list[int]:
    """As other processes do."""
    deleted: list[int] = []

    def elsewhere() -> None:
        deleted.extend(
            (delete_discarded(), repack_some(), remove_orphans(timezone.now() + timedelta(days=2)))
        )
        connection.close()

    other = threading.Thread(target=elsewhere)
    other.start()
    other.join(30)
    return deleted


def test_nothing_is_deleted_while_a_copy_is_made_and_everything_after_it(house: House) -> None:
    something_to_delete(house)
    before = [stored.key for stored in object_store().objects("")]
    with keeping_objects():
        assert delete_all_there_is() == [0, 0, 0]
        assert [stored.key for stored in object_store().objects("")] == before
    assert delete_all_there_is() == [1, 1, 1]
    assert not DiscardedObject.objects.exists()
    assert [stored.key for stored in object_store().objects("")] == [Blob.objects.get().object_key]


def test_what_is_being_deleted_is_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    something_to_delete(house)
    real = object_store().delete
    events: list[str] = []
    copying = threading.Thread(target=lambda: copy(events))

    def delete(key: str) -> None:
        if not copying.is_alive() and not events:
            copying.start()
        real(key)
        events.append("deleted")

    monkeypatch.setattr(object_store(), "delete", delete)
    delete_discarded()
    copying.join(30)
    assert events == ["deleted", "copied"]


def copy(events: list[str]) -> None:
    with keeping_objects():
        events.append("copied")
    connection.close()


def test_a_copy_that_lost_the_lock_is_told(house: House) -> None:
    with pytest.raises(KeepingLost), keeping_objects(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")


def test_the_command_runs_another_and_answers_as_it_does(house: House) -> None:
    call_command("keep_objects", "--", sys.executable, "-c", "pass")
    with pytest.raises(SystemExit) as ended:
        call_command("keep_objects", "--", sys.executable, "-c", "raise SystemExit(3)")
    assert ended.value.code == 3
    with pytest.raises(CommandError):
        call_command("keep_objects")
    with pytest.raises(CommandError):
        call_command("keep_objects", "--", "/no/such/program")
    something_to_delete(house)
    assert delete_all_there_is() == [1, 1, 1]
