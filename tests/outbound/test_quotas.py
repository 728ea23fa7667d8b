"""Quotas of a rolling day: exact, also when many send at once; told with the time there is room again."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.principal import Principal
from apps.accounts.services import create_api_key
from apps.outbound.errors import QuotaReached, SubmissionInvalid
from apps.outbound.models import Delivery, QuotaUse, RefusedSubmission, SendingPolicy
from apps.outbound.services import cancel_message
from apps.outbound.submission.quotas import forget_old_use
from tests.outbound.sending import send
from tests.people import House

NOON = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)


def limit(house: House, **columns: Any) -> None:
    SendingPolicy.objects.update_or_create(organisation=house.organisation, defaults=columns)


def recipients(n: int, name: str = "a") -> list[str]:
    return [f"{name}{number}@x.example" for number in range(n)]


def test_without_a_quota_nothing_is_counted(house: House) -> None:
    send(house.as_alice, *recipients(3))
    limit(house)
    send(house.as_alice, *recipients(3))
    assert not QuotaUse.objects.exists()


def test_an_organisation_has_so_many_recipients_in_a_rolling_day(house: House) -> None:
    limit(house, recipients_per_day=5)
    with time_machine.travel(NOON, tick=False):
        send(house.as_alice, *recipients(3))
    with time_machine.travel(NOON + timedelta(hours=6), tick=False):
        send(house.as_bob, *recipients(2))
        with pytest.raises(QuotaReached) as reached:
            send(house.as_alice, "one@more.example")
    error = reached.value
    assert (error.of, error.limit, error.used, error.asked) == ("organisation", 5, 5, 1)
    # The minute of the first three leaves the window when its last second is a day old.
    assert error.frees_at == datetime(2026, 3, 3, 12, 1, tzinfo=UTC)
    with time_machine.travel(error.frees_at - timedelta(seconds=1), tick=False), pytest.raises(QuotaReached):
        send(house.as_alice, "one@more.example")
    with time_machine.travel(error.frees_at, tick=False):
        send(house.as_alice, *recipients(3, "b"))


def test_a_persons_quota_is_theirs_and_a_keys_its_own(house: House) -> None:
    limit(house, recipients_per_day_of_user=2, recipients_per_day_of_key=1)
    send(house.as_alice, *recipients(2))
    with pytest.raises(QuotaReached, match="person"):
        send(house.as_alice, "c@x.example")
    send(house.as_bob, "c@x.example")
    key, _secret = create_api_key(house.organisation, name="bob's", role=Role.AGENT, user=house.bob)
    send(Principal.of_key(key), "d@x.example")
    with pytest.raises(QuotaReached, match="person"):
        send(Principal.of_key(key), "e@x.example")


def test_the_organisations_own_admin_key_is_counted_and_never_refused(house: House) -> None:
    limit(house, recipients_per_day=2, recipients_per_day_of_key=1)
    send(house.as_key, *recipients(5))
    with pytest.raises(QuotaReached):
        send(house.as_alice, "c@x.example")


def test_what_no_day_allows_is_refused_rather_than_put_off(house: House) -> None:
    limit(house, recipients_per_day=5)
    with pytest.raises(SubmissionInvalid, match="5 recipients a day") as refused:
        send(house.as_alice, *recipients(6))
    assert refused.value.faults[0].fault == "quota"


def test_beyond_the_quota_nothing_is_checked_kept_or_sent(house: House) -> None:
    limit(house, recipients_per_day=1)
    send(house.as_alice, "a@x.example")
    with pytest.raises(QuotaReached):
        send(house.as_alice, "nonsense")
    assert not RefusedSubmission.objects.exists()


def test_a_refused_or_repeated_submission_costs_nothing(house: House) -> None:
    limit(house, recipients_per_day=1)
    with pytest.raises(SubmissionInvalid):
        send(house.as_alice, "nonsense")
    send(house.as_alice, "a@x.example", key="k")
    assert send(house.as_alice, "a@x.example", key="k").replayed


def test_taking_back_is_no_way_around(house: House) -> None:
    limit(house, recipients_per_day=1)
    submitted = send(house.as_alice, "a@x.example", hold_seconds=60)
    cancel_message(house.as_alice, submitted.message, timezone.now())
    with pytest.raises(QuotaReached):
        send(house.as_alice, "b@x.example")


def test_old_tallies_are_forgotten_only_when_no_window_reaches_them(house: House) -> None:
    limit(house, recipients_per_day=1)
    send(house.as_alice, "a@x.example")
    assert forget_old_use(timezone.now() + timedelta(hours=25)) == 0
    assert forget_old_use(timezone.now() + timedelta(days=3)) == 2


@pytest.mark.django_db(transaction=True)
def test_many_at_once_never_share_the_last_place(house: House) -> None:
    limit(house, recipients_per_day=10)
    start = threading.Barrier(8)
    reached: list[QuotaReached] = []

    def request(n: int) -> None:
        start.wait()
        try:
            send(house.as_alice, *recipients(3, f"t{n}"))
        except QuotaReached as error:
            reached.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=request, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert Delivery.objects.count() == 9
    assert len(reached) == 5
