"""Bytes that nobody refers to: they go, and nothing that somebody needs goes with them."""

import os
import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.blobs.discarding import UnreferencedWalk, delete_discarded, discard
from apps.blobs.errors import BlobMissing, ObjectStoreUnavailable
from apps.blobs.models import Blob, DiscardedObject, SpooledBytes, Thumbnail
from apps.blobs.object_store import object_store
from apps.blobs.offloading import offload
from apps.blobs.selectors import read
from apps.blobs.services import SPOOL_BOUND_BYTES, put, stage
from apps.inbound.ingest import ingest_due
from apps.inbound.receiving import Envelope, accept_message
from apps.mailboxes.models import Message
from tests.arrivals import arrive
from tests.mail import raw_mail
from tests.people import House
from tests.polling import wait_until
from tests.servers import Servers


def stored(house: House, content: bytes) -> Blob:
    blob = put(house.organisation.pk, stage(content))
    offload()
    blob.refresh_from_db()
    return blob


def is_in_store(blob: Blob) -> bool:
    return object_store().size_of(blob.object_key) is not None


def test_what_nobody_refers_to_is_discarded_row_first_and_then_its_object(house: House) -> None:
    blob = stored(house, b"nobody's")
    assert discard([blob.pk]) == 1
    assert not Blob.objects.filter(pk=blob.pk).exists()
    assert is_in_store(blob)
    assert delete_discarded() == 1
    assert not is_in_store(blob)
    assert not DiscardedObject.objects.exists()
    with pytest.raises(BlobMissing):
        read(blob)  # the cache has forgotten it too


def test_what_a_mail_refers_to_stays(house: House) -> None:
    message = arrive(house.support)
    assert discard([message.raw_id]) == 0
    Message.objects.all().delete()
    assert discard([message.raw_id]) == 1


def test_bytes_in_the_spool_go_with_their_row(house: House) -> None:
    blob = put(house.organisation.pk, stage(b"spooled"))
    assert discard([blob.pk]) == 1
    assert not SpooledBytes.objects.exists()


def test_a_thumbnail_goes_with_the_picture_it_shows(house: House) -> None:
    picture, small = stored(house, b"picture"), stored(house, b"small")
    Thumbnail.objects.create(organisation=house.organisation, source=picture, image=small, width=1, height=1)
    assert discard([small.pk]) == 0
    assert discard([picture.pk]) == 2
    assert delete_discarded() == 2
    assert not is_in_store(picture)
    assert not is_in_store(small)


def test_an_object_waits_for_a_store_that_is_away(house: House, servers: Servers) -> None:
    blob = stored(house, b"waits")
    discard([blob.pk])
    servers.s3.stop()
    with pytest.raises(ObjectStoreUnavailable):
        delete_discarded()
    assert DiscardedObject.objects.count() == 1
    servers.s3.restart()
    assert delete_discarded() == 1
    assert not is_in_store(blob)


def test_the_walk_leaves_what_is_younger_than_a_day(house: House) -> None:
    for n in range(5):
        put(house.organisation.pk, stage(b"nobody's %d" % n))
    kept = arrive(house.support).raw_id
    now = timezone.now()
    assert UnreferencedWalk().step(now) == 0
    assert UnreferencedWalk().step(now + timedelta(days=2)) == 5
    assert Blob.objects.filter(pk=kept).exists()


@pytest.mark.django_db(transaction=True)
def test_a_content_that_is_about_to_be_shared_is_not_discarded(house: House) -> None:
    blob = put(house.organisation.pk, stage(b"shared"))
    found: list[int] = []

    def elsewhere() -> None:
        found.append(discard([blob.pk]))
        connection.close()

    with transaction.atomic():
        assert put(house.organisation.pk, stage(b"shared")) == blob
        other = threading.Thread(target=elsewhere)
        other.start()
        other.join(30)
    assert found == [0]
    assert read(blob) == b"shared"


@pytest.mark.django_db(transaction=True)
def test_a_content_that_is_being_discarded_is_put_anew(house: House) -> None:
    blob = stored(house, b"again")
    put_as: list[Blob] = []

    def elsewhere() -> None:
        put_as.append(put(house.organisation.pk, stage(b"again")))
        connection.close()

    other = threading.Thread(target=elsewhere)
    with transaction.atomic():
        assert discard([blob.pk]) == 1
        other.start()
        wait_until(somebody_waits_for_a_lock, 30)
    other.join(30)
    assert put_as[0].pk != blob.pk
    delete_discarded()
    offload()
    assert read(Blob.objects.get(pk=put_as[0].pk)) == b"again"
    assert not is_in_store(blob)


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        row = cursor.fetchone()
    return bool(row and row[0])


@pytest.mark.django_db(transaction=True)
def test_many_put_and_discard_one_content_and_none_of_their_mails_loses_it(house: House) -> None:
    """A mail for each of eight threads, all with the same bytes, while two threads discard whatever they can."""
    errors: list[Exception] = []
    done = threading.Event()

    def files() -> None:
        try:
            for _n in range(6):
                message = arrive(house.support)
                assert Blob.objects.filter(pk=message.raw_id).exists()
                Message.objects.filter(pk=message.pk).delete()
                arrive(house.support)
        except Exception as error:  # noqa: BLE001 - told by the test
            errors.append(error)
        finally:
            connection.close()

    def discards() -> None:
        while not done.is_set():
            discard(list(Blob.objects.values_list("pk", flat=True)))
            delete_discarded()
        connection.close()

    filing = [threading.Thread(target=files) for _n in range(4)]
    discarding = [threading.Thread(target=discards) for _n in range(2)]
    for one in [*filing, *discarding]:
        one.start()
    for one in filing:
        one.join(120)
    done.set()
    for one in discarding:
        one.join(30)
    assert errors == []
    offload()
    delete_discarded()
    assert {read(message.raw) for message in Message.objects.all()} == {read(Message.objects.all()[0].raw)}


@pytest.mark.django_db(transaction=True)
def test_bytes_discarded_while_they_were_moved_to_the_store_are_deleted_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = put(house.organisation.pk, stage(b"on its way"))
    real = object_store().put_many

    def discarded_meanwhile(contents: dict[str, bytes]) -> set[str]:
        discard([blob.pk])
        delete_discarded()
        return real(contents)

    monkeypatch.setattr(object_store(), "put_many", discarded_meanwhile)
    offload()
    assert is_in_store(blob)
    assert delete_discarded() == 1
    assert not is_in_store(blob)


def test_a_second_object_of_large_bytes_goes_after_a_while(house: House) -> None:
    content = os.urandom(SPOOL_BOUND_BYTES + 1)
    first = put(house.organisation.pk, stage(content))
    copy = stage(content)
    assert put(house.organisation.pk, copy) == first
    assert delete_discarded() == 0
    DiscardedObject.objects.update(delete_after=timezone.now())
    assert delete_discarded() == 1
    assert object_store().size_of(f"blobs/{copy.id}") is None
    assert read(first) == content


def test_bytes_that_were_put_after_all_are_not_taken_for_a_copy(house: House) -> None:
    content = os.urandom(SPOOL_BOUND_BYTES + 1)
    first = put(house.organisation.pk, stage(content))
    copy = stage(content)
    put(house.organisation.pk, copy)
    discard([first.pk])
    second = put(house.organisation.pk, copy)
    assert second.pk == copy.id
    DiscardedObject.objects.update(delete_after=timezone.now())
    delete_discarded()
    assert read(second) == content


@pytest.mark.django_db(transaction=True)
def test_filing_a_large_mail_uploads_it_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    puts: list[str] = []
    real = object_store().put

    def noted(key: str, content: bytes) -> None:
        puts.append(key)
        real(key, content)

    monkeypatch.setattr(object_store(), "put", noted)
    raw = raw_mail(text="A long text.\r\n" * 30_000, headers={"Content-Transfer-Encoding": "8bit"})
    envelope = Envelope("elena@customer.example", {house.organisation.pk: ("support@house.test",)}, "", "")
    accept_message(envelope, raw, now=timezone.now())
    before = len(puts)
    assert ingest_due(limit=1, seconds=60) == 1
    message = Message.objects.select_related("raw", "text").get()
    assert read(message.raw) == raw
    assert message.text is not None
    assert puts[before:] == [message.text.object_key]
