import os
from collections.abc import Sequence

import pytest
from django.core.cache import cache

from apps.blobs import cached
from apps.blobs.lean_store import Span
from apps.blobs.models import Blob
from apps.blobs.object_store import object_store
from apps.blobs.offloading import offload
from apps.blobs.selectors import read_many
from apps.blobs.services import put, stage
from tests.people import House

NOW = 1_000_000.0 * cached.KEPT_SECONDS


@pytest.fixture(autouse=True)
def _a_window_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr(cached, "time", lambda: NOW)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys S3 was asked for."""
    asked: list[str] = []
    whole, pieces = object_store().get_many, object_store().get_spans

    def get_many(keys: Sequence[str]) -> dict[str, bytes]:
        asked.extend(keys)
        return whole(keys)

    def get_spans(spans: Sequence[Span]) -> dict[Span, bytes]:
        asked.extend(span.key for span in spans)
        return pieces(spans)

    monkeypatch.setattr(object_store(), "get_many", get_many)
    monkeypatch.setattr(object_store(), "get_spans", get_spans)
    return asked


def offloaded(house: House, *contents: bytes) -> list[Blob]:
    blobs = [put(house.organisation.pk, stage(content)) for content in contents]
    assert offload() == len(blobs)
    return list(Blob.objects.filter(pk__in=[blob.pk for blob in blobs]).order_by("pk"))


def test_what_was_offloaded_a_moment_ago_is_read_without_s3(house: House, fetched: list[str]) -> None:
    contents = [os.urandom(4096) for _ in range(3)]
    blobs = offloaded(house, *contents)
    assert [read_many(blobs)[blob.pk] for blob in blobs] == contents
    assert fetched == []


def test_what_is_large_is_not_remembered(house: House, fetched: list[str]) -> None:
    small, large = os.urandom(100), os.urandom(cached.LARGEST_BYTES + 1)
    blobs = offloaded(house, small, large)
    assert set(read_many(blobs).values()) == {small, large}
    assert fetched == [blob.object_key for blob in blobs if blob.size_bytes > cached.LARGEST_BYTES]


def test_a_flush_costs_a_trip_to_s3(house: House, fetched: list[str]) -> None:
    (blob,) = offloaded(house, b"words")
    cache.clear()
    assert read_many([blob]) == {blob.pk: b"words"}
    assert fetched == [blob.object_key]


def test_a_window_remembers_half_of_the_bound_and_not_a_byte_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = 1000 + cached.KEY_BYTES
    monkeypatch.setattr(cached, "BOUND_BYTES", 2 * (3 * one))
    first, second, third = (offloaded(house, os.urandom(1000)) for _ in range(3))
    assert len(cached.find([*first, *second, *third])) == 3
    beyond = offloaded(house, os.urandom(1))
    assert cached.find(beyond) == {}


def test_the_next_window_has_room_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    now = NOW
    monkeypatch.setattr(cached, "time", lambda: now)
    monkeypatch.setattr(cached, "BOUND_BYTES", 2 * (1000 + cached.KEY_BYTES))
    assert cached.find(offloaded(house, os.urandom(1000)))
    now += cached.KEPT_SECONDS - 1
    assert not cached.find(offloaded(house, os.urandom(1000)))
    now += 1
    assert cached.find(offloaded(house, os.urandom(1000)))
