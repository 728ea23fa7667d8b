"""Claims of received mail and their leases: whose a row is, and for how long."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from apps.inbound import leases
from apps.inbound.claims import claim_due, claim_next
from apps.inbound.ingest import ingest_claim
from apps.mailboxes.models import Message
from tests.inbound.test_ingest import make_due, receive
from tests.mail import raw_mail
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_claim_is_one_workers_alone(house: House) -> None:
    receive(house)
    assert len(claim_due(5)) == 1
    assert claim_due(5) == []


def test_claims_come_oldest_first(house: House) -> None:
    rows = [receive(house, raw_mail(message_id=f"{n}@customer.example")) for n in range(3)]
    assert [claim_due()[0].received_id for _ in rows] == [row.pk for row in rows]


def test_a_lapsed_lease_is_claimed_again_and_its_holder_can_no_longer_file(house: House) -> None:
    row = receive(house)
    first = claim_due()[0]
    make_due(row)  # its worker was killed, or slept
    second = claim_due()[0]
    assert (second.received_id, second.attempts) == (first.received_id, 2)
    ingest_claim(first)
    assert not Message.objects.exists()
    ingest_claim(second)
    assert Message.objects.count() == 1


def test_threads_that_want_rows_at_once_get_one_each(house: House) -> None:
    rows = {receive(house, raw_mail(message_id=f"{n}@customer.example")).pk for n in range(5)}
    at_once = threading.Barrier(7, timeout=20)

    def claim() -> uuid.UUID | None:
        at_once.wait()
        try:
            claimed = claim_next()
        finally:
            connection.close()
        return claimed.received_id if claimed is not None else None

    with ThreadPoolExecutor(7) as pool:
        claimed = [one.result() for one in [pool.submit(claim) for _ in range(7)]]
    assert sorted(map(str, claimed)) == sorted([*map(str, rows), "None", "None"])


def test_a_claims_commit_waits_for_no_disk_and_the_next_one_does(house: House) -> None:
    with connection.cursor() as cursor:
        receive(house)
        assert claim_due()
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)


def test_a_lease_is_renewed_while_its_worker_lives(house: House) -> None:
    row = receive(house)
    claim = claim_due()[0]
    with leases.leases.kept(claim.token):
        make_due(row)
        assert leases.leases.renew() == 1
        assert claim_due() == []
    make_due(row)
    assert leases.leases.renew() == 0
    assert len(claim_due()) == 1


def test_a_lost_lease_is_not_renewed(house: House) -> None:
    row = receive(house)
    old = claim_due()[0]
    make_due(row)
    claim_due()
    with leases.leases.kept(old.token):
        assert leases.leases.renew() == 0
