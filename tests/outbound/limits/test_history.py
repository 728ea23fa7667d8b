"""What was sent already, from the attempts in PostgreSQL: a flushed Redis costs nobody more than is allowed."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from apps.mailboxes.models import Message
from apps.organisations.database_threads import DatabaseThreads
from apps.organisations.models import new_id
from apps.outbound.limits.history import accepted_lately, recall
from apps.outbound.limits.limiter import Limiter
from apps.outbound.limits.rules import demands_for, load_rules
from apps.outbound.models import Delivery, DeliveryAttempt, Lane, LimitScope, Relay, SendingLimit
from apps.outbound.relays.environment import reconcile_relays
from tests.outbound.limits.limiting import grants_now, limiter, meet_wait, new_prefix, run
from tests.outbound.sending import send
from tests.people import House
from tests.servers import Servers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def relays(transactional_db: None) -> list[Relay]:
    return reconcile_relays(["smtp://mail-1.test?tls=none", "smtp://mail-2.test?tls=none"])


@pytest.fixture
def delivery(house: House, relays: list[Relay]) -> Delivery:
    return sent_to(house, "elena@customer.example")


def sent_to(house: House, recipient: str) -> Delivery:
    return send(house.as_key, recipient).deliveries[0]


def limit(scope: LimitScope, subject: str = "*", **bounds: Any) -> SendingLimit:
    now = timezone.now()
    bounds.setdefault("organisation", None)
    return SendingLimit.objects.create(scope=scope, subject=subject, created_at=now, updated_at=now, **bounds)


def attempted(
    delivery: Delivery,
    relay: Relay | None,
    *,
    times: int,
    seconds_ago: float,
    ended: bool = True,
    **more: Any,
) -> None:
    at = timezone.now() - timedelta(seconds=seconds_ago)
    first = delivery.attempts.count() + 1
    DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(
            delivery=delivery,
            number=first + number,
            relay=relay,
            token=new_id(),
            started_at=at - timedelta(seconds=0.5),
            finished_at=at if ended else None,
            **({"outcome": "sent"} if ended else {}) | more,
        )
        for number in range(times)
    )


def pass_fence(delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(
        state="sending",
        phase="committing",
        due_at=None,
        lease_token=new_id(),
        lease_expires_at=timezone.now() + timedelta(minutes=1),
    )


def granted(delivery: Delivery, relay: Relay, *, prefix: str = "", **options: Any) -> int:
    """How many more messages like this one a limiter that knows nothing lets over the relay."""
    wanted = demands_for(mail_of(delivery), relay, load_rules())

    async def ask() -> int:
        threads = DatabaseThreads(1)
        try:
            async with limiter(database=threads, prefix=prefix or new_prefix(), **options) as limits:
                return await grants_now(limits, wanted)
        finally:
            threads.close()

    return int(run(ask()))


@dataclass(frozen=True)
class Mail:
    """What demands are made of."""

    organisation_id: UUID
    sender: str
    destination: str
    size_bytes: int
    lane: Lane = Lane.INTERACTIVE


def mail_of(delivery: Delivery) -> Mail:
    message = Message.objects.get(pk=delivery.message_id)
    return Mail(delivery.organisation_id, message.sender_address, delivery.destination, message.size_bytes)


def test_a_limiter_without_its_counts_takes_them_from_the_attempts(
    delivery: Delivery, relays: list[Relay]
) -> None:
    limit(LimitScope.RELAY, per_minute=30)
    attempted(delivery, relays[0], times=11, seconds_ago=10)
    attempted(delivery, relays[0], times=5, seconds_ago=90)
    attempted(delivery, relays[1], times=2, seconds_ago=10)
    assert granted(delivery, relays[0]) == 19
    assert granted(delivery, relays[1]) == 28


def test_an_attempt_past_the_fence_that_has_not_ended_counts_for_every_relay(
    delivery: Delivery, relays: list[Relay]
) -> None:
    limit(LimitScope.RELAY, per_minute=30)
    pass_fence(delivery)
    attempted(delivery, None, times=3, seconds_ago=10, ended=False)
    attempted(delivery, None, times=2, seconds_ago=10, outcome="uncertain")
    assert [granted(delivery, relay) for relay in relays] == [25, 25]


def test_a_claim_that_only_waits_does_not_count(delivery: Delivery, relays: list[Relay]) -> None:
    limit(LimitScope.RELAY, per_minute=30)
    attempted(delivery, None, times=1, seconds_ago=10, ended=False)
    assert granted(delivery, relays[0]) == 30


def test_an_attempt_that_reached_no_relay_does_not_count(delivery: Delivery, relays: list[Relay]) -> None:
    limit(LimitScope.RELAY, per_minute=30)
    attempted(delivery, None, times=3, seconds_ago=10, outcome="deferred")
    assert granted(delivery, relays[0]) == 30


def test_quotas_of_a_day_are_as_durable_as_the_attempts(
    house: House, delivery: Delivery, relays: list[Relay]
) -> None:
    limit(LimitScope.RELAY, str(relays[0].pk), per_day=100)
    limit(LimitScope.ORGANISATION, per_day=150)
    attempted(delivery, relays[0], times=40, seconds_ago=23 * 3600)
    attempted(delivery, relays[1], times=90, seconds_ago=3600)
    attempted(delivery, relays[1], times=90, seconds_ago=25 * 3600)
    assert granted(delivery, relays[0]) == 20
    assert granted(delivery, relays[1]) == 20


def test_senders_destinations_and_organisations_are_counted_apart(
    house: House, stranger: House, delivery: Delivery, relays: list[Relay]
) -> None:
    limit(LimitScope.SENDER, per_hour=20)
    limit(LimitScope.DESTINATION, "customer.example", per_hour=50)
    limit(LimitScope.DESTINATION, "customer.example", per_hour=9, organisation=stranger.organisation)
    attempted(delivery, relays[0], times=15, seconds_ago=60)
    assert granted(delivery, relays[0]) == 5
    elsewhere = sent_to(house, "paul@elsewhere.example")
    assert granted(elsewhere, relays[0]) == 5
    theirs = send(stranger.as_key, "elena@customer.example", sender="support@stranger.test").deliveries[0]
    assert granted(theirs, relays[0]) == 9
    attempted(theirs, relays[0], times=8, seconds_ago=60)
    assert granted(theirs, relays[0]) == 1


def test_a_limit_that_is_made_while_mail_flows_counts_what_went_before_it(
    delivery: Delivery, relays: list[Relay]
) -> None:
    limit(LimitScope.RELAY, per_minute=30)
    prefix = new_prefix()
    attempted(delivery, relays[0], times=12, seconds_ago=5)
    assert granted(delivery, relays[0], prefix=prefix) == 18
    limit(LimitScope.SENDER, per_minute=15)
    assert granted(delivery, relays[1], prefix=prefix) == 3


def test_redis_flushed_in_the_middle_of_a_minute_lets_nobody_send_more(
    delivery: Delivery, relays: list[Relay], servers: Servers
) -> None:
    limit(LimitScope.RELAY, per_minute=30)
    prefix = new_prefix()
    wanted = demands_for(mail_of(delivery), relays[0], load_rules())

    async def send_some(limits: Limiter, number: int, threads: DatabaseThreads) -> None:
        """As a worker does: the attempt's row first, then the limiter, then the result."""
        for _mail in range(number):
            grant = await limits.admit(wanted)
            assert not hasattr(grant, "until")
            await limits.release(grant)
            await threads(attempted, delivery, relays[0], times=1, seconds_ago=0)

    async def scenario() -> None:
        threads = DatabaseThreads(1)
        async with limiter(database=threads, prefix=prefix) as limits:
            await send_some(limits, 12, threads)
            await threads(servers.valkey.flush)
            await send_some(limits, 18, threads)
            wait = await meet_wait(limits, wanted)
            assert "allows 30 messages a minute; 30 were sent since" in wait.reason
            await threads(servers.valkey.flush)
            assert "30 were sent since" in (await meet_wait(limits, wanted)).reason
        threads.close()

    run(scenario())


def test_the_measured_pace_is_what_a_relay_accepted_in_the_last_minute(
    house: House, delivery: Delivery, relays: list[Relay]
) -> None:
    attempted(delivery, relays[0], times=7, seconds_ago=20)
    attempted(delivery, relays[0], times=3, seconds_ago=20, outcome="deferred")
    attempted(delivery, relays[0], times=9, seconds_ago=70)
    attempted(sent_to(house, "paul@elsewhere.example"), relays[0], times=2, seconds_ago=1)
    minute = timedelta(minutes=1)
    assert accepted_lately(relays[0].pk, "", minute) == 9
    assert accepted_lately(relays[0].pk, "customer.example", minute) == 7
    assert accepted_lately(relays[1].pk, "", minute) == 0


def test_without_limits_there_is_nothing_to_recall(delivery: Delivery) -> None:
    assert recall().logs == ()
