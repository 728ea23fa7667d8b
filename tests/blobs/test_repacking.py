"""Packs with holes: what was discarded really goes, and nothing else with it."""

import os
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.utils import timezone

from apps.blobs import repacking
from apps.blobs.discarding import discard, remove_orphans
from apps.blobs.errors import BlobMissing, ObjectStoreUnavailable
from apps.blobs.models import COPY_AGE, Blob, DiscardedObject, Pack
from apps.blobs.object_store import object_store
from apps.blobs.offloading import offload
from apps.blobs.repacking import repack_some
from apps.blobs.selectors import read, read_many
from apps.blobs.services import put, put_all, stage, stage_together
from apps.mailboxes.models import Message
from tests.arrivals import arrive
from tests.blobs.test_offloading import Killed, killed
from tests.erasure.traces import empty_bucket, objects_that_say
from tests.people import House
from tests.servers import Servers

KEPT = (b"first", b"second", b"third")


@pytest.fixture(autouse=True)
def _nothing_of_others(house: House) -> None:
    empty_bucket()
    cache.clear()


@pytest.fixture
def packed(house: House) -> list[Blob]:
    """Three contents, with a fourth among them that is told at the top of its voice."""
    contents = [*KEPT[:2], b"ERASE ME", KEPT[2]]
    blobs = put_all(house.organisation.pk, [stage(content) for content in contents])
    assert offload() == 4
    by_id = Blob.objects.in_bulk([blob.pk for blob in blobs])
    return [by_id[blob.pk] for blob in blobs]


def after_a_while() -> None:
    """Whoever staged bytes has had the time to put them."""
    Pack.objects.update(created_at=timezone.now() - COPY_AGE)
    DiscardedObject.objects.filter(delete_after__gt=timezone.now()).update(delete_after=timezone.now())


def kept(packed: list[Blob]) -> list[Blob]:
    return [packed[0], packed[1], packed[3]]


def whole(blobs: list[Blob]) -> tuple[bytes, ...]:
    """What they are, read from S3 by rows that may be old."""
    cache.clear()
    contents = read_many(blobs)
    return tuple(contents[blob.pk] for blob in blobs)


def test_a_discarded_content_goes_and_the_others_move(packed: list[Blob]) -> None:
    old = packed[0].object_key
    assert discard([packed[2].pk]) == 1
    hole = DiscardedObject.objects.get()
    assert (hole.pk, hole.pack_id) == (packed[2].pk, packed[2].pack_id)
    after_a_while()
    assert repack_some() == 1
    assert objects_that_say("erase me") == []
    assert object_store().size_of(old) is None
    assert Pack.objects.get().size_bytes == len(b"".join(KEPT))
    assert whole(kept(packed)) == KEPT  # the rows are older than the move
    assert not DiscardedObject.objects.exists()
    assert repack_some() == 0
    with pytest.raises(BlobMissing):
        read(packed[2])


def test_a_pack_is_left_alone_while_somebody_may_put_into_it(packed: list[Blob]) -> None:
    discard([packed[2].pk])
    assert repack_some() == 0
    hole = DiscardedObject.objects.get()
    assert hole.delete_after == Pack.objects.get().created_at + COPY_AGE


def test_an_old_pack_is_written_anew_at_once(packed: list[Blob]) -> None:
    Pack.objects.update(created_at=timezone.now() - COPY_AGE)
    discard([packed[2].pk])
    assert repack_some() == 1
    assert objects_that_say("erase me") == []


def test_a_pack_of_nobody_is_deleted(packed: list[Blob]) -> None:
    discard([blob.pk for blob in packed])
    after_a_while()
    assert repack_some() == 1
    assert list(object_store().objects("")) == []
    assert not Pack.objects.exists()
    assert not DiscardedObject.objects.exists()


def test_a_pack_that_is_whole_after_all_stays_as_it_is(house: House) -> None:
    """Its contents were put in two transactions, and the first could not know of the second."""
    staged = stage_together([b"one", b"two"])
    blobs = [put(house.organisation.pk, one) for one in staged]
    assert DiscardedObject.objects.exists()
    after_a_while()
    assert repack_some() == 1
    assert not DiscardedObject.objects.exists()
    assert whole(blobs) == (b"one", b"two")
    assert Pack.objects.get().pk == blobs[0].pack_id


def test_what_came_again_leaves_no_second_copy(house: House) -> None:
    known = put(house.organisation.pk, stage(b"TWICE"))
    offload()
    blobs = put_all(house.organisation.pk, stage_together([b"new", b"TWICE", b"newer"]))
    assert len(objects_that_say("twice")) == 2
    after_a_while()
    assert repack_some() == 1
    assert objects_that_say("twice") == [f"blobs/{known.pk}"]
    assert whole(blobs) == (b"new", b"TWICE", b"newer")


def test_packs_of_which_nothing_was_put_are_deleted_in_time(house: House) -> None:
    put(house.organisation.pk, stage(b"a"))
    put(house.organisation.pk, stage(b"b"))
    put_all(house.organisation.pk, stage_together([b"a", b"b"]))
    assert len(list(object_store().objects("packs/"))) == 1
    after_a_while()
    repack_some()
    assert list(object_store().objects("packs/")) == []


def test_objects_of_nobody_go_after_a_day_and_packs_with_a_row_stay(house: House, packed: list[Blob]) -> None:
    stage_together([b"never", b"put"])
    remove_orphans(timezone.now())
    assert len(list(object_store().objects("packs/"))) == 2
    remove_orphans(timezone.now() + timedelta(days=2))
    assert [stored.key for stored in object_store().objects("packs/")] == [packed[0].object_key]


@pytest.mark.parametrize("step", ["put", "switch", "delete"])
@pytest.mark.django_db(transaction=True)
def test_killed_at_any_step_nothing_is_lost_and_the_next_one_ends_it(
    packed: list[Blob], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    discard([packed[2].pk])
    after_a_while()
    with monkeypatch.context() as patch:
        if step == "put":
            patch.setattr(repacking, "_switch", killed)
        elif step == "switch":
            patch.setattr(Pack.objects, "create", killed)
        else:
            patch.setattr(object_store(), "delete", killed)
        with pytest.raises(Killed):
            repack_some()
    assert whole(kept(packed)) == KEPT
    assert repack_some() == 1
    assert objects_that_say("erase me") == []
    assert whole(kept(packed)) == KEPT
    assert remove_orphans(timezone.now() + timedelta(days=2)) == (step != "delete")
    assert whole(kept(packed)) == KEPT


def test_a_store_that_is_away_is_waited_for(packed: list[Blob], servers: Servers) -> None:
    discard([packed[2].pk])
    after_a_while()
    servers.s3.stop()
    with pytest.raises(ObjectStoreUnavailable):
        repack_some()
    servers.s3.restart()
    assert repack_some() == 1
    assert objects_that_say("erase me") == []
    assert whole(kept(packed)) == KEPT


def while_repacking(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen when the new pack is in S3 and the rows do not say so yet."""
    real = object_store().put

    def put_object(key: str, content: bytes) -> None:
        monkeypatch.setattr(object_store(), "put", real)
        real(key, content)
        happens()

    monkeypatch.setattr(object_store(), "put", put_object)


def test_what_is_erased_while_it_moves_goes_too(packed: list[Blob], monkeypatch: pytest.MonkeyPatch) -> None:
    discard([packed[2].pk])
    after_a_while()
    while_repacking(monkeypatch, lambda: discard([packed[0].pk]))
    assert repack_some() == 1
    assert objects_that_say("first") != []
    after_a_while()
    assert repack_some() >= 1
    assert objects_that_say("first") == []
    assert whole([packed[1], packed[3]]) == KEPT[1:]


def test_two_that_repack_the_same_leave_one_pack(packed: list[Blob], monkeypatch: pytest.MonkeyPatch) -> None:
    discard([packed[2].pk])
    after_a_while()
    while_repacking(monkeypatch, repack_some)
    repack_some()
    assert whole(kept(packed)) == KEPT
    after_a_while()
    repack_some()
    assert len(list(object_store().objects("packs/"))) == Pack.objects.count() == 1
    assert whole(kept(packed)) == KEPT


def test_what_is_put_while_the_others_move_stays_until_next_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = stage_together([b"early", b"late", b"never"])
    early = put(house.organisation.pk, staged[0])
    after_a_while()
    late: list[Blob] = []
    while_repacking(monkeypatch, lambda: late.append(put(house.organisation.pk, staged[1])))
    repack_some()
    assert whole([early, *late]) == (b"early", b"late")
    after_a_while()
    repack_some()
    assert objects_that_say("never") == []
    assert whole([early, *late]) == (b"early", b"late")


def test_a_damaged_pack_is_neither_copied_nor_deleted(packed: list[Blob]) -> None:
    discard([packed[2].pk])
    after_a_while()
    key = packed[0].object_key
    object_store().put(key, os.urandom(Pack.objects.get().size_bytes))
    assert repack_some() == 1
    assert object_store().size_of(key) is not None
    assert repack_some() == 0  # not before an hour is over
    assert DiscardedObject.objects.get().delete_after > timezone.now() + timedelta(minutes=59)


def test_a_few_packs_at_a_time(house: House) -> None:
    for n in range(3):
        blobs = put_all(house.organisation.pk, [stage(b"%d %d" % (n, m)) for m in range(2)])
        offload()
        discard([blobs[0].pk])
    after_a_while()
    assert [repack_some(limit=2), repack_some(limit=2), repack_some(limit=2)] == [2, 1, 0]


@pytest.mark.django_db(transaction=True)
def test_mails_are_read_while_their_packs_are_written_anew_again_and_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread discards and repacks all the time, three read whatever is left by rows of all ages."""
    contents = {n: b"<content %d>" % n for n in range(60)}
    staged = stage_together(list(contents.values()))
    blobs = dict(zip(contents, put_all(house.organisation.pk, staged), strict=True))
    errors: list[BaseException] = []
    done = threading.Event()

    def reads(those: Mapping[int, Blob]) -> None:
        try:
            while not done.is_set():
                cache.clear()
                found = read_many(those.values())
                assert {n: found[blob.pk] for n, blob in those.items()} == {n: contents[n] for n in those}
                those = {n: Blob.objects.get(pk=blob.pk) for n, blob in those.items()}
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)
        finally:
            connection.close()

    readers = [
        threading.Thread(target=reads, args=[{n: blobs[n] for n in range(first, 60, 6)}])
        for first in (0, 2, 4)
    ]
    for reader in readers:
        reader.start()
    for n in range(1, 60, 2):
        with transaction.atomic():
            discard([blobs[n].pk])
        after_a_while()
        repack_some()
    done.set()
    for reader in readers:
        reader.join(60)
    # A reader that is overtaken twice within one read is told so: packs rest for ten minutes, and not for none.
    assert [error for error in errors if not isinstance(error, BlobMissing)] == []
    for n in range(1, 60, 2):
        assert objects_that_say(f"<content {n}>") == []
    assert whole([blobs[n] for n in range(0, 60, 2)]) == tuple(contents[n] for n in range(0, 60, 2))


def test_a_mail_that_is_erased_leaves_no_trace_among_its_neighbours(house: House) -> None:
    erased = arrive(house.support, message_id="one@customer.example", text="My secret is 4711.")
    arrive(house.support, message_id="two@customer.example", text="I like tea.")
    offload()
    assert objects_that_say("my secret is 4711") != []
    raw = erased.raw_id
    Message.objects.filter(pk=erased.pk).delete()
    discard([raw])
    after_a_while()
    repack_some()
    assert objects_that_say("my secret is 4711") == []
    assert objects_that_say("i like tea") != []
