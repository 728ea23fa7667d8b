"""`manage.py check_blobs`: what rows promise and what S3 has, compared both ways."""

import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.utils import timezone

from apps.blobs import cached, reconcile
from apps.blobs.discarding import discard
from apps.blobs.models import Blob, SpooledBytes
from apps.blobs.object_store import StoredObject, object_store
from apps.blobs.offloading import offload
from apps.blobs.reconcile import Finding, ListingUnordered, Reconciliation, Trouble
from apps.blobs.selectors import read
from apps.blobs.services import SPOOL_BOUND_BYTES, put, stage
from apps.mailboxes.models import Message
from tests.arrivals import arrive
from tests.people import House
from tests.servers import Servers


@pytest.fixture(autouse=True)
def nothing_of_others(house: House) -> Iterator[None]:
    """Objects of earlier tests lie in the same bucket; every test here begins with none and a cold cache."""
    for stored in list(object_store().objects("")):
        object_store().delete(stored.key)
    cache.clear()
    yield


@pytest.fixture
def mail(house: House) -> Message:
    """A mail whose raw bytes rest in S3, and nowhere else."""
    message = arrive(house.support)
    offload()
    cache.clear()
    return Message.objects.select_related("raw").get(pk=message.pk)


def found(*, days_later: int = 0, deep: bool = False, repair: bool = False) -> list[tuple[Trouble, bool]]:
    now = timezone.now() + timedelta(days=days_later)
    return [(one.trouble, one.mended) for one in Reconciliation(now, deep=deep, repair=repair).findings()]


def test_a_house_in_order_has_nothing_to_tell(house: House, mail: Message) -> None:
    arrive(house.support, message_id="second@customer.example", text="In the spool.")
    assert found(days_later=2, deep=True) == []


def test_bytes_that_nobody_has_are_missing(mail: Message) -> None:
    object_store().delete(mail.raw.object_key)
    assert found() == [(Trouble.MISSING, False)]
    assert found(repair=True) == [(Trouble.MISSING, False)]


def test_a_row_that_was_never_offloaded_and_has_no_spool_is_missing_too(mail: Message) -> None:
    object_store().delete(mail.raw.object_key)
    Blob.objects.update(stored_at=None)
    assert found() == [(Trouble.MISSING, False)]


def test_missing_bytes_come_back_from_another_organisations_copy(mail: Message, stranger: House) -> None:
    arrive(stranger.support, read(mail.raw))
    offload()
    object_store().delete(mail.raw.object_key)
    cache.clear()
    assert found(repair=True) == [(Trouble.MISSING, True)]
    assert found(deep=True) == []


def test_missing_bytes_come_back_from_the_cache(mail: Message) -> None:
    read(mail.raw)
    object_store().delete(mail.raw.object_key)
    assert found(repair=True) == [(Trouble.MISSING, True)]
    cache.clear()
    assert found(deep=True) == []


def test_a_cut_object_has_the_wrong_size(mail: Message) -> None:
    object_store().put(mail.raw.object_key, b"cut")
    assert found() == [(Trouble.WRONG_SIZE, False)]


def test_only_a_deep_look_finds_other_bytes_of_the_same_length(mail: Message) -> None:
    object_store().put(mail.raw.object_key, os.urandom(mail.raw.size_bytes))
    assert found() == []
    assert found(deep=True) == [(Trouble.WRONG_HASH, False)]


def test_a_deep_look_reads_the_spool_too(house: House) -> None:
    blob = arrive(house.support).raw
    SpooledBytes.objects.filter(pk=blob.pk).update(content=b"x" * blob.size_bytes)
    assert found(deep=True) == [(Trouble.WRONG_HASH, False)]


def test_what_was_damaged_in_the_spool_is_not_written_over_what_was_mended(house: House) -> None:
    blob = arrive(house.support).raw
    content = read(blob)
    cached.remember({blob.pk: content})
    SpooledBytes.objects.filter(pk=blob.pk).update(content=b"x" * blob.size_bytes)
    assert found(deep=True, repair=True) == [(Trouble.WRONG_HASH, True)]
    offload()
    assert object_store().get(blob.object_key) == content
    assert found(deep=True) == []


def test_an_object_without_a_row_is_an_orphan_once_it_is_a_day_old(mail: Message) -> None:
    orphan = stage(os.urandom(SPOOL_BOUND_BYTES + 1))
    assert found(repair=True) == []
    assert found(days_later=2) == [(Trouble.ORPHAN, False)]
    assert found(days_later=2, repair=True) == [(Trouble.ORPHAN, True)]
    assert object_store().size_of(f"blobs/{orphan.id}") is None
    assert found(days_later=2) == []


def test_a_row_that_nobody_refers_to_is_told_and_discarded(house: House, mail: Message) -> None:
    put(house.organisation.pk, stage(b"nobody's"))
    assert found() == []
    assert found(days_later=2) == [(Trouble.UNREFERENCED, False)]
    assert found(days_later=2, repair=True) == [(Trouble.UNREFERENCED, True)]
    assert found(days_later=2) == []


def test_what_is_not_named_like_ours_is_left_alone(mail: Message) -> None:
    object_store().put("blobs/somebody-elses.txt", b"not ours")
    assert found(days_later=2, repair=True) == [(Trouble.FOREIGN, False)]
    assert object_store().get("blobs/somebody-elses.txt") == b"not ours"


def test_a_page_at_a_time_finds_the_same(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "PAGE_ROWS", 3)
    messages = [arrive(house.support, message_id=f"{n}@customer.example", text=f"{n}") for n in range(8)]
    orphans = [stage(os.urandom(SPOOL_BOUND_BYTES + n)) for n in range(1, 8)]
    while offload(limit=1):
        pass  # each in an object of its own
    cache.clear()
    object_store().delete(messages[2].raw.object_key)
    assert len(orphans) == 7
    counted = sorted(trouble for trouble, _mended in found(days_later=2))
    assert counted == sorted([Trouble.MISSING, *[Trouble.ORPHAN] * 7])


def test_mail_that_comes_and_goes_meanwhile_is_no_trouble(
    house: House, mail: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing was read before a mail was offloaded, and after another was discarded."""
    gone = put(house.organisation.pk, stage(b"goes"))
    listing = list(object_store().objects(""))

    def then_everything_moves(prefix: str) -> Iterator[StoredObject]:
        yield from (stored for stored in listing if stored.key.startswith(prefix))
        offload()
        discard([gone.pk])

    arrive(house.support, message_id="late@customer.example", text="Offloaded meanwhile.")
    monkeypatch.setattr(object_store(), "objects", then_everything_moves)
    assert found(days_later=2, deep=True) == []


def test_a_store_that_lists_without_order_is_refused(mail: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    names = ["blobs/b", "blobs/a"]
    monkeypatch.setattr(
        object_store(), "objects", lambda _prefix: iter([StoredObject(name, at, 1) for name in names])
    )
    with pytest.raises(ListingUnordered):
        found()


def check(*options: str) -> tuple[int, str]:
    told = io.StringIO()
    try:
        call_command("check_blobs", *options, stdout=told, stderr=told)
    except SystemExit as end:
        return int(str(end.code)), told.getvalue()
    return 0, told.getvalue()


def test_the_exit_code_tells_whether_something_is_left_to_do(house: House, mail: Message) -> None:
    assert check("--deep") == (0, "Every row has its bytes, and every object its row.\n")
    put(house.organisation.pk, stage(b"nobody's"))
    Blob.objects.update(created_at=timezone.now() - timedelta(days=2))
    code, told = check()
    assert (code, "unreferenced: 1 (0 mended)" in told) == (1, True)
    assert check("--repair")[0] == 0
    assert check()[0] == 0


def test_a_store_that_is_away_is_no_verdict(mail: Message, servers: Servers) -> None:
    servers.s3.stop()
    code, told = check()
    assert code == 2
    assert "missing" not in told
    servers.s3.restart()


def test_findings_say_what_a_person_must_look_at() -> None:
    assert Finding(Trouble.MISSING, "blobs/x").is_open
    assert not Finding(Trouble.MISSING, "blobs/x", mended=True).is_open
    assert not Finding(Trouble.FOREIGN, "blobs/x").is_open
