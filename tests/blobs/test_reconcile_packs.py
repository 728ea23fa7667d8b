"""`manage.py check_blobs` and packs: what is within them, and what nobody needs of them."""

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from apps.blobs import reconcile
from apps.blobs.discarding import discard
from apps.blobs.models import Blob, DiscardedObject, Pack
from apps.blobs.object_store import object_store
from apps.blobs.offloading import offload
from apps.blobs.reconcile import Trouble
from apps.blobs.repacking import repack_some
from apps.blobs.selectors import read, read_many
from apps.blobs.services import stage_together
from apps.mailboxes.models import Message
from tests.arrivals import arrive
from tests.blobs.test_reconcile import found
from tests.erasure.traces import empty_bucket, objects_that_say
from tests.people import House

TEXTS = ("I like tea.", "I like coffee.", "I like water.")


@pytest.fixture(autouse=True)
def nothing_of_others(house: House) -> Iterator[None]:
    empty_bucket()
    cache.clear()
    yield


def mails(house: House) -> list[Blob]:
    """Three mails whose raw bytes are one pack."""
    ids = [
        arrive(house.support, message_id=f"{n}@customer.example", text=text).pk
        for n, text in enumerate(TEXTS)
    ]
    offload()
    cache.clear()
    return [Message.objects.select_related("raw").get(pk=pk).raw for pk in ids]


@pytest.fixture
def raws(house: House) -> list[Blob]:
    return mails(house)


def the_pack(raws: list[Blob]) -> Pack:
    pack_id = raws[0].pack_id
    assert pack_id is not None
    return Pack.objects.get(pk=pack_id)


def contents_of(raws: list[Blob]) -> list[bytes]:
    cache.clear()
    contents = read_many(Blob.objects.filter(pk__in=[raw.pk for raw in raws]))
    return [contents[raw.pk] for raw in raws]


def damage(pack: Pack, raw: Blob) -> None:
    """Other bytes of the same length where one content is."""
    whole = object_store().get(pack.object_key)
    start = raw.pack_offset or 0
    object_store().put(
        pack.object_key, whole[:start] + os.urandom(raw.size_bytes) + whole[start + raw.size_bytes :]
    )


def test_packs_in_order_have_nothing_to_tell(raws: list[Blob]) -> None:
    assert {raw.pack_id for raw in raws} == {the_pack(raws).pk}
    assert found(days_later=2, deep=True) == []


def test_a_pack_that_is_gone_or_cut_is_told_once(raws: list[Blob]) -> None:
    pack = the_pack(raws)
    object_store().put(pack.object_key, b"cut")
    assert found() == [(Trouble.WRONG_SIZE, False)]
    object_store().delete(pack.object_key)
    assert found() == [(Trouble.MISSING, False)]
    assert found(repair=True) == [(Trouble.MISSING, False)]


def test_a_lost_pack_comes_back_from_another_organisations_copy(raws: list[Blob], stranger: House) -> None:
    contents = contents_of(raws)
    for content in contents:
        arrive(stranger.support, content)
    offload()
    object_store().delete(the_pack(raws).object_key)
    cache.clear()
    assert found(repair=True) == [(Trouble.MISSING, True)]
    assert contents_of(raws) == contents
    assert found(days_later=2, deep=True) == []


def test_what_is_still_found_of_a_lost_pack_is_kept(raws: list[Blob]) -> None:
    content = read(raws[1])  # the cache has it now
    object_store().delete(the_pack(raws).object_key)
    assert found(repair=True) == [(Trouble.MISSING, False)]
    assert contents_of([raws[1]]) == [content]
    assert found() == [(Trouble.MISSING, False)]


def test_only_a_deep_look_finds_other_bytes_within_a_pack(raws: list[Blob]) -> None:
    damage(the_pack(raws), raws[1])
    assert found() == []
    assert found(deep=True) == [(Trouble.WRONG_HASH, False)]


def test_a_damaged_content_is_mended_in_a_new_pack_and_the_others_follow(raws: list[Blob]) -> None:
    contents = contents_of(raws)
    read(raws[1])
    old = the_pack(raws)
    damage(old, raws[1])
    assert found(deep=True, repair=True) == [(Trouble.WRONG_HASH, True)]
    assert contents_of(raws) == contents
    DiscardedObject.objects.update(delete_after=timezone.now())
    assert repack_some() == 1
    assert object_store().size_of(old.object_key) is None
    assert contents_of(raws) == contents
    assert found(days_later=2, deep=True) == []


def test_a_pack_without_a_row_is_an_orphan_once_it_is_a_day_old(raws: list[Blob]) -> None:
    stage_together([b"never", b"put"])
    assert found(repair=True) == []
    assert found(days_later=2) == [(Trouble.ORPHAN, False)]
    assert found(days_later=2, repair=True) == [(Trouble.ORPHAN, True)]
    assert found(days_later=2, deep=True) == []


def test_an_object_of_its_own_that_a_packed_content_no_longer_needs_is_an_orphan(raws: list[Blob]) -> None:
    object_store().put(f"blobs/{raws[0].pk}", b"left by an offloader that was killed")
    assert found(days_later=2, repair=True) == [(Trouble.ORPHAN, True)]
    assert found(days_later=2, deep=True) == []


def test_a_hole_that_nobody_told_of_is_found_and_goes(house: House, raws: list[Blob]) -> None:
    Message.objects.filter(raw=raws[0]).delete()
    discard([raws[0].pk])
    assert found(days_later=2) == []  # told: it is on its way out
    DiscardedObject.objects.all().delete()
    assert found(days_later=2, repair=True) == [(Trouble.UNREFERENCED, True)]
    DiscardedObject.objects.update(delete_after=timezone.now() - timedelta(days=1))
    repack_some()
    assert objects_that_say(TEXTS[0]) == []
    assert found(days_later=2, deep=True) == []


def test_a_page_of_packs_at_a_time_finds_the_same(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "PAGE_ROWS", 2)
    for n in range(5):
        for m in range(2):
            arrive(house.support, message_id=f"{n}.{m}@customer.example", text=f"{n}.{m}")
        offload()
        stage_together([b"never", b"put"])
    cache.clear()
    packs = list(Pack.objects.order_by("pk"))
    assert len(packs) == 5
    for pack in packs[1:4]:
        object_store().delete(pack.object_key)
    counted = sorted(trouble for trouble, _mended in found(days_later=2))
    assert counted == sorted([*[Trouble.MISSING] * 3, *[Trouble.ORPHAN] * 5])
