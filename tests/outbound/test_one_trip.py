"""Statements that travel together: a worker's batch is one of them, and all of it or nothing is written."""

from datetime import timedelta

import pytest
from django.db import DataError, connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.organisations.models import Organisation
from apps.outbound.causes import Cause
from apps.outbound.delivery import (
    Result,
    claim_due,
    commit_all_to_send,
    keep_alive,
    next_due_at,
    record_results,
)
from apps.outbound.models import DeliveryState, Lane
from apps.outbound.one_trip import in_one_trip
from apps.outbound.transitions import Change
from tests.outbound.sending import send
from tests.people import House

RENAME = "UPDATE organisations_organisation SET name = %(name)s"
READ = "SELECT name FROM organisations_organisation"


@pytest.mark.django_db
def test_each_statement_sees_what_those_before_it_changed() -> None:
    Organisation.objects.create(name="before")
    assert in_one_trip([READ, RENAME, READ], {"name": "after; 100%"}) == [
        [("before",)],
        [],
        [("after; 100%",)],
    ]


@pytest.mark.django_db(transaction=True)
def test_a_failure_undoes_all_of_them() -> None:
    Organisation.objects.create(name="before")
    with pytest.raises(DataError):
        in_one_trip([RENAME, "SELECT 1 / 0"], {"name": "after"})
    assert Organisation.objects.get().name == "before"


@pytest.mark.django_db(transaction=True)
def test_a_setting_for_the_transaction_ends_with_the_trip() -> None:
    with connection.cursor() as cursor:
        (inside,), _ = in_one_trip(["SELECT set_config('enable_sort', 'off', true)", "SELECT 1"], {})
        cursor.execute("SHOW enable_sort")
        assert (inside, cursor.fetchone()) == (("off",), ("on",))


def test_a_batch_is_one_trip_however_large(
    house: House, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(5):
        send(house.as_key, f"elena{n}@x.example")
    with django_assert_num_queries(1):
        claims = claim_due(Lane.INTERACTIVE, limit=5)
    assert len(claims) == 5
    with django_assert_num_queries(1):
        assert commit_all_to_send([claim.held() for claim in claims]) == [None] * 5
    with django_assert_num_queries(1):
        assert len(keep_alive([claim.token for claim in claims])) == 5
    later = Change(DeliveryState.DEFERRED, Cause.GREYLISTED, due_at=timezone.now() + timedelta(hours=1))
    with django_assert_num_queries(1):
        assert record_results([Result(claim, later) for claim in claims], timezone.now()) == [None] * 5
    with django_assert_num_queries(1):
        assert next_due_at(Lane.INTERACTIVE) == later.due_at
