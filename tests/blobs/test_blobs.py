import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from redis.exceptions import ConnectionError as RedisConnectionError

from apps.blobs.discarding import remove_orphans
from apps.blobs.errors import BlobMissing, ObjectStoreUnavailable
from apps.blobs.models import Blob, SpooledBytes
from apps.blobs.object_store import object_store
from apps.blobs.offloading import offload
from apps.blobs.packs import PACKED_BELOW_BYTES
from apps.blobs.selectors import read, read_many
from apps.blobs.services import SPOOL_BOUND_BYTES, put, put_all, stage
from tests.people import House
from tests.servers import Servers


def test_small_bytes_are_spooled_and_then_rest_in_s3(house: House) -> None:
    content = os.urandom(1000)
    blob = put(house.organisation.pk, stage(content))
    assert blob.stored_at is None
    assert read(blob) == content

    assert offload() == 1

    blob.refresh_from_db()
    assert blob.stored_at is not None
    assert not SpooledBytes.objects.exists()
    assert object_store().get(blob.object_key) == content
    assert read(blob) == content


def test_large_bytes_are_in_s3_before_their_row_exists(house: House) -> None:
    content = os.urandom(SPOOL_BOUND_BYTES + 1)
    staged = stage(content)
    assert object_store().get(f"blobs/{staged.id}") == content
    blob = put(house.organisation.pk, staged)
    assert read(blob) == content
    assert not SpooledBytes.objects.exists()


def test_the_same_content_is_kept_once_per_organisation(house: House, stranger: House) -> None:
    content = b"the same words"
    first = put(house.organisation.pk, stage(content))
    second = put(house.organisation.pk, stage(content))
    elsewhere = put(stranger.organisation.pk, stage(content))
    assert first == second
    assert elsewhere != first
    assert SpooledBytes.objects.count() == 2


def test_put_all_answers_in_the_order_asked_even_with_repeats(house: House) -> None:
    contents = [b"b", b"a", b"b", b"c"]
    blobs = put_all(house.organisation.pk, [stage(content) for content in contents])
    assert [read(blob) for blob in blobs] == contents
    assert blobs[0] == blobs[2]


def test_bytes_vanish_with_the_transaction_that_gave_them_meaning(house: House) -> None:
    class Abandoned(Exception):
        pass

    with pytest.raises(Abandoned), transaction.atomic():
        put(house.organisation.pk, stage(b"never committed"))
        raise Abandoned
    assert not Blob.objects.exists()
    assert not SpooledBytes.objects.exists()


def test_a_content_that_s3_refuses_stays_in_the_spool(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = put(house.organisation.pk, stage(b"patience"))

    def away(*_args: Any) -> None:
        raise ObjectStoreUnavailable("away")

    monkeypatch.setattr(object_store(), "_lean", None)
    monkeypatch.setattr(object_store(), "put", away)
    with pytest.raises(ObjectStoreUnavailable):
        offload()
    assert read(blob) == b"patience"
    monkeypatch.undo()
    assert offload() == 1


def test_the_spool_keeps_everything_while_s3_is_away(house: House, servers: Servers) -> None:
    blobs = [put(house.organisation.pk, stage(content)) for content in (b"one", b"two")]
    servers.s3.stop()
    with pytest.raises(ObjectStoreUnavailable):
        offload()
    assert read_many(blobs) == {blobs[0].pk: b"one", blobs[1].pk: b"two"}
    servers.s3.restart()
    assert offload() == 2


def test_one_refused_content_does_not_hold_up_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = (b"refused".ljust(PACKED_BELOW_BYTES), b"taken")
    refused, taken = (put(house.organisation.pk, stage(content)) for content in contents)
    real_put = object_store().put

    def picky(key: str, content: bytes) -> None:
        if content.startswith(b"refused"):
            raise ObjectStoreUnavailable("not this one")
        real_put(key, content)

    monkeypatch.setattr(object_store(), "_lean", None)
    monkeypatch.setattr(object_store(), "put", picky)
    assert offload() == 1
    assert set(SpooledBytes.objects.values_list("pk", flat=True)) == {refused.pk}
    assert read(taken) == b"taken"


def test_reading_does_without_the_cache(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = put(house.organisation.pk, stage(b"no cache"))
    offload()
    blob.refresh_from_db()

    def away(*_args: Any, **_kwargs: Any) -> None:
        raise RedisConnectionError("away")

    for operation in ("get", "get_many", "set", "set_many", "add", "incr"):
        monkeypatch.setattr(cache, operation, away)
    assert read(blob) == b"no cache"


def test_offloading_does_without_the_cache(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = put(house.organisation.pk, stage(b"no cache"))

    def away(*_args: Any, **_kwargs: Any) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(cache, "add", away)
    assert offload() == 1
    assert object_store().get(blob.object_key) == b"no cache"


def test_many_are_read_wherever_each_of_them_lies(house: House) -> None:
    contents = [b"spooled", os.urandom(100), os.urandom(SPOOL_BOUND_BYTES + 1)]
    stored, large = (put(house.organisation.pk, stage(content)) for content in contents[1:])
    offload()
    stored.refresh_from_db()
    spooled = put(house.organisation.pk, stage(contents[0]))
    for _cold_then_cached in range(2):
        assert read_many([spooled, stored, large]) == dict(
            zip([spooled.pk, stored.pk, large.pk], contents, strict=True)
        )
    assert read_many([]) == {}


def test_a_promise_that_nobody_keeps_is_named(house: House) -> None:
    blob = put(house.organisation.pk, stage(os.urandom(64)))
    offload()
    blob.refresh_from_db()
    object_store().delete(blob.object_key)
    cache.clear()
    with pytest.raises(BlobMissing):
        read(blob)


def test_objects_without_a_row_go_after_a_day_and_not_before(house: House) -> None:
    kept = put(house.organisation.pk, stage(os.urandom(SPOOL_BOUND_BYTES + 1)))
    orphan = stage(os.urandom(SPOOL_BOUND_BYTES + 1))
    key = f"blobs/{orphan.id}"
    now = datetime.now(UTC)

    remove_orphans(now)
    assert object_store().get(key) == orphan.content

    remove_orphans(now + timedelta(days=2))
    with pytest.raises(BlobMissing):
        object_store().get(key)
    assert object_store().get(kept.object_key)
