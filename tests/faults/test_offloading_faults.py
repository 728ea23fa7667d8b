"""The schedule process is killed while it moves the spool to S3, and S3 is: every content is whole afterwards."""

import os
from datetime import timedelta
from functools import partial

import pytest
from django.core.cache import cache
from django.utils import timezone

from apps.blobs.discarding import remove_orphans
from apps.blobs.models import Blob, Pack, SpooledBytes
from apps.blobs.object_store import object_store
from apps.blobs.selectors import read_many
from apps.blobs.services import put_all, stage
from tests.erasure.traces import empty_bucket
from tests.people import House
from tests.polling import wait_until
from tests.processes import ProductProcess
from tests.servers import Servers

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

CONTENTS = 8000
KILLS = 3


def spool(house: House) -> dict[bytes, Blob]:
    """Enough for several rounds of an offloader, 2.5 KB each."""
    contents = [os.urandom(2500) for _ in range(CONTENTS)]
    blobs = put_all(house.organisation.pk, [stage(content) for content in contents])
    return dict(zip(contents, blobs, strict=True))


def fewer_wait_than(before: int) -> bool:
    return SpooledBytes.objects.count() < before


def test_an_offloader_that_is_killed_again_and_again_loses_nothing(house: House, servers: Servers) -> None:
    empty_bucket()
    expected: dict[bytes, Blob] = {}
    for kill in range(KILLS):
        expected |= spool(house)
        before = SpooledBytes.objects.count()
        with ProductProcess("manage.py", "schedule", ready="schedule_leads") as schedule:
            wait_until(partial(fewer_wait_than, before), 60, what="something has moved")
            schedule.kill()
            if kill == 1:
                servers.s3.kill()
                servers.s3.restart()
    with ProductProcess("manage.py", "schedule", ready="schedule_leads"):
        wait_until(partial(fewer_wait_than, 1), 60, what="everything has moved")
    cache.clear()
    stored = read_many(Blob.objects.filter(pk__in=[blob.pk for blob in expected.values()]))
    assert stored == {blob.pk: content for content, blob in expected.items()}
    remove_orphans(timezone.now() + timedelta(days=2))
    assert {one.key for one in object_store().objects("packs/")} == {
        pack.object_key for pack in Pack.objects.all()
    }
