"""Contents that go to S3 together, before the transaction that gives them meaning."""

import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from apps.blobs import services
from apps.blobs.breaker import Breaker
from apps.blobs.errors import ObjectStoreUnavailable
from apps.blobs.models import Blob, DiscardedObject, Pack, SpooledBytes
from apps.blobs.object_store import ObjectStore, object_store
from apps.blobs.packs import PACK_BOUND_BYTES, PACKED_BELOW_BYTES
from apps.blobs.selectors import read, read_many
from apps.blobs.services import put, put_all, stage, stage_together
from tests.people import House
from tests.servers import Servers


@pytest.fixture(autouse=True)
def _a_breaker_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_PROMPTLY", Breaker(services.REST_SECONDS))


def test_they_rest_in_one_object_and_never_in_the_spool(house: House) -> None:
    contents = [os.urandom(1000 + n) for n in range(5)]
    staged = stage_together(contents)
    blobs = put_all(house.organisation.pk, staged)
    assert not SpooledBytes.objects.exists()
    pack = Pack.objects.get()
    assert {blob.pack_id for blob in blobs} == {pack.pk}
    assert pack.organisation == house.organisation
    assert object_store().size_of(pack.object_key) == pack.size_bytes == sum(map(len, contents))
    for remembered in (True, False):
        if not remembered:
            cache.clear()
        assert [read_many(blobs)[blob.pk] for blob in blobs] == contents
        assert [read(blob) for blob in Blob.objects.order_by("pack_offset")] == contents
    assert not DiscardedObject.objects.exists()


def test_one_alone_has_an_object_of_its_own(house: House) -> None:
    blob = put(house.organisation.pk, stage_together([b"alone"])[0])
    cache.clear()
    assert object_store().get(f"blobs/{blob.pk}") == read(blob) == b"alone"
    assert not Pack.objects.exists()


def test_large_ones_among_them_have_objects_of_their_own(house: House) -> None:
    contents = [b"a", os.urandom(PACKED_BELOW_BYTES), b"b"]
    blobs = put_all(house.organisation.pk, stage_together(contents))
    cache.clear()
    assert [blob.pack_id is None for blob in blobs] == [False, True, False]
    assert [read_many(blobs)[blob.pk] for blob in blobs] == contents


def test_very_many_make_several_packs_within_the_bound(house: House) -> None:
    contents = [os.urandom(PACKED_BELOW_BYTES - 1) for _ in range(12)]
    blobs = put_all(house.organisation.pk, stage_together(contents))
    cache.clear()
    assert Pack.objects.count() == 2
    assert all(pack.size_bytes <= PACK_BOUND_BYTES for pack in Pack.objects.all())
    assert [read_many(blobs)[blob.pk] for blob in blobs] == contents


def test_the_same_twice_and_nothing_at_all_lie_in_a_pack_too(house: House) -> None:
    contents = [b"same", b"", b"same", b"other"]
    blobs = put_all(house.organisation.pk, stage_together(contents))
    cache.clear()
    assert [read_many(blobs)[blob.pk] for blob in blobs] == contents
    assert Pack.objects.get().size_bytes == len(b"sameother")
    assert not DiscardedObject.objects.exists()


def test_what_was_there_already_is_shared_and_leaves_a_hole_that_is_told(house: House) -> None:
    known = put(house.organisation.pk, stage(b"known"))
    blobs = put_all(house.organisation.pk, stage_together([b"new", b"known", b"newer"]))
    assert blobs[1] == known
    pack = Pack.objects.get()
    hole = DiscardedObject.objects.get()
    assert (hole.pk, hole.pack_id) == (pack.pk, pack.pk)
    assert hole.delete_after > timezone.now()


def test_a_pack_may_be_put_in_two_transactions(house: House) -> None:
    staged = stage_together([b"first", b"second"])
    blobs = [put(house.organisation.pk, one) for one in staged]
    cache.clear()
    assert read_many(blobs) == {blobs[0].pk: b"first", blobs[1].pk: b"second"}
    assert Pack.objects.count() == 1


def test_a_store_that_is_away_is_said_at_once_and_the_spool_does_without(
    house: House, servers: Servers
) -> None:
    servers.s3.stop()
    with pytest.raises(ObjectStoreUnavailable):
        stage_together([b"a", b"b"])
    blobs = put_all(house.organisation.pk, [stage(content) for content in (b"a", b"b")])
    assert read(blobs[0]) == b"a"
    servers.s3.restart()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A store that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        access: dict[str, Any] = settings.OBJECT_STORE | {
            "endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}"
        }
        store = ObjectStore(**access)
        monkeypatch.setattr(services, "object_store", lambda: store)
        yield


@pytest.mark.usefixtures("hanging")
def test_a_store_that_hangs_costs_one_short_wait(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "PROMPT_SECONDS", 0.2)
    begun_at = time.monotonic()
    for _batch in range(20):
        with pytest.raises(ObjectStoreUnavailable):
            stage_together([os.urandom(1000) for _ in range(3)])
    assert 0.2 <= time.monotonic() - begun_at < 2


@pytest.mark.usefixtures("hanging")
def test_a_store_that_takes_half_of_a_pack_and_hangs_is_waited_for_no_longer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "PROMPT_SECONDS", 0.2)
    begun_at = time.monotonic()
    with pytest.raises(ObjectStoreUnavailable):
        stage_together([os.urandom(PACKED_BELOW_BYTES - 1) for _ in range(100)])
    assert time.monotonic() - begun_at < 5


def test_after_a_rest_one_asks_and_all_ask_again() -> None:
    breaker = Breaker(0)
    with pytest.raises(OSError), breaker.asking():
        raise OSError
    with breaker.asking():
        pass
    with breaker.asking(), breaker.asking():
        pass
