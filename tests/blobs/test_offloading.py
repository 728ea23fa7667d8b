"""The spool on its way to S3: in packs, each organisation's by itself, whatever happens on the way."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.core.cache import cache

from apps.blobs import offloading
from apps.blobs.discarding import delete_discarded, discard
from apps.blobs.models import Blob, DiscardedObject, Pack, SpooledBytes
from apps.blobs.object_store import object_store
from apps.blobs.offloading import offload
from apps.blobs.packs import PACK_BOUND_BYTES, PACKED_BELOW_BYTES
from apps.blobs.selectors import read_many
from apps.blobs.services import put_all, stage
from tests.people import House


class Killed(BaseException):
    """Nothing that comes after it is done."""


def spooled(house: House, *contents: bytes) -> list[Blob]:
    return put_all(house.organisation.pk, [stage(content) for content in contents])


def whole(blobs: list[Blob]) -> list[bytes]:
    """What they are, read from S3."""
    cache.clear()
    contents = read_many(Blob.objects.filter(pk__in=[blob.pk for blob in blobs]))
    return [contents[blob.pk] for blob in blobs]


def test_what_waits_together_rests_together_and_no_two_organisations_share(
    house: House, stranger: House
) -> None:
    contents = [os.urandom(1000 + n) for n in range(10)]
    ours, theirs = spooled(house, *contents), spooled(stranger, *contents)
    assert offload() == 20
    assert offload() == 0
    packs = {pack.organisation_id: pack for pack in Pack.objects.all()}
    assert packs.keys() == {house.organisation.pk, stranger.organisation.pk}
    for blobs in (ours, theirs):
        assert whole(blobs) == contents
        pack = packs[blobs[0].organisation_id]
        assert pack.blobs.count() == 10
        assert object_store().size_of(pack.object_key) == pack.size_bytes == sum(map(len, contents))
    assert not SpooledBytes.objects.exists()
    assert not DiscardedObject.objects.exists()


def test_large_ones_and_more_than_a_pack_holds(house: House) -> None:
    contents = [os.urandom(PACKED_BELOW_BYTES - (n % 2)) for n in range(24)]
    blobs = spooled(house, *contents)
    assert offload() == 24
    assert whole(blobs) == contents
    assert Blob.objects.filter(pack=None).count() == 12
    assert [pack.size_bytes <= PACK_BOUND_BYTES for pack in Pack.objects.all()] == [True, True]


def test_no_more_is_read_at_once_than_there_is_room_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offloading, "BYTES_AT_ONCE", 3500)
    blobs = spooled(house, *(os.urandom(1000) for _ in range(10)))
    moved = []
    while some := offload():
        moved.append(some)
    assert moved == [4, 4, 2]
    assert len(set(whole(blobs))) == 10


def test_one_larger_than_the_room_is_moved_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offloading, "BYTES_AT_ONCE", 10)
    (blob,) = spooled(house, b"larger than ten bytes")
    assert offload() == 1
    assert whole([blob]) == [b"larger than ten bytes"]


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen when the bytes are in S3 and the rows do not say so yet."""
    real = object_store().put_many

    def put_many(contents: Mapping[str, bytes]) -> set[str]:
        monkeypatch.setattr(object_store(), "put_many", real)
        taken = real(contents)
        happens()
        return taken

    monkeypatch.setattr(object_store(), "put_many", put_many)


def killed(*_args: Any, **_kwargs: Any) -> None:
    raise Killed


def test_killed_when_s3_has_them_and_no_row_says_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [b"one", b"two", b"three"]
    blobs = spooled(house, *contents)
    meanwhile(monkeypatch, killed)
    with pytest.raises(Killed):
        offload()
    assert [read_many(blobs)[blob.pk] for blob in blobs] == contents
    assert not Pack.objects.exists()
    assert offload() == 3
    assert whole(blobs) == contents


@pytest.mark.django_db(transaction=True)
def test_killed_before_the_commit_nothing_is_half_marked(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [b"one", b"two", b"three"]
    blobs = spooled(house, *contents)
    with monkeypatch.context() as patch:
        patch.setattr(offloading, "_tell_of_holes", killed)
        with pytest.raises(Killed):
            offload()
    assert SpooledBytes.objects.count() == 3
    assert not Pack.objects.exists()
    assert offload() == 3
    assert whole(blobs) == contents


def test_two_offloaders_move_the_same_and_one_has_moved_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [b"one", b"two", b"three"]
    blobs = spooled(house, *contents)
    meanwhile(monkeypatch, offload)
    assert offload() == 0
    assert whole(blobs) == contents
    overtaken = DiscardedObject.objects.get()
    assert overtaken.pack_id == overtaken.pk
    assert not Blob.objects.filter(pack=overtaken.pk).exists()


def test_two_offloaders_move_one_under_its_own_name_and_it_stays(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    (blob,) = spooled(house, b"alone")
    meanwhile(monkeypatch, offload)
    assert offload() == 0
    delete_discarded()
    assert whole([blob]) == [b"alone"]


def test_a_name_of_its_own_goes_when_another_offloader_has_packed_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One took the oldest alone, and the other came after it with all that waits."""
    blobs = spooled(house, b"one", b"two")
    meanwhile(monkeypatch, offload)
    assert offload(limit=1) == 0
    assert object_store().size_of(f"blobs/{min(blob.pk for blob in blobs)}") == 3
    assert delete_discarded() == 1
    assert object_store().size_of(f"blobs/{min(blob.pk for blob in blobs)}") is None
    assert sorted(whole(blobs)) == [b"one", b"two"]


def test_what_was_discarded_on_the_way_is_a_hole_that_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = spooled(house, b"stays", b"goes", b"stays too")
    meanwhile(monkeypatch, lambda: discard([blobs[1].pk]))
    assert offload() == 2
    assert whole([blobs[0], blobs[2]]) == [b"stays", b"stays too"]
    pack = Pack.objects.get()
    assert set(DiscardedObject.objects.values_list("pk", "pack_id")) == {
        (pack.pk, pack.pk),
        (blobs[1].pk, None),
    }
