"""What an attempt's end means: who is to blame, and what becomes of the delivery."""

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from apps.outbound.causes import Cause
from apps.outbound.delivery import Claim
from apps.outbound.errors import ConversationError, RelayRefused, RelayUnavailable, ReplyLost
from apps.outbound.limits.provider_table import BUILT_IN, read_table
from apps.outbound.limits.providers import Providers
from apps.outbound.models import DeliveryState, Route
from apps.outbound.verdict import Blame, Judge, blame, is_relays_trouble, limit_told_by
from apps.outbound.waiting import Wait

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
PROVIDERS = Providers(read_table(BUILT_IN))


def claim(*, setbacks: int = 0, lives: timedelta = timedelta(days=5)) -> Claim:
    return Claim(
        delivery_id=uuid.uuid4(),
        token=uuid.uuid4(),
        number=1,
        message_id=uuid.uuid4(),
        organisation_id=uuid.uuid4(),
        route=Route.RELAY,
        sender="support@house.test",
        recipient="elena@customer.example",
        size_bytes=1000,
        setbacks=setbacks,
        expires_at=NOW + lives,
    )


def refused(phase: str, text: str, *, direct: bool = False) -> RelayRefused:
    code, _space, rest = text.partition(" ")
    first = rest.partition(" ")[0]
    enhanced = first if first.count(".") == 2 else ""
    return RelayRefused(phase, text, code=int(code), enhanced=enhanced, by_destination=direct)


def judge() -> Judge:
    return Judge(chance=random.Random(7), providers=PROVIDERS)  # noqa: S311 - the same draws at every run


GONE = refused("rcpt", "550 5.1.1 no such user")
QUOTA = refused("dot", "550 5.4.5 Daily user sending limit exceeded. - gsmtp")
THROTTLED = refused("mail", "454 4.7.0 Throttling failure: Maximum sending rate exceeded")
CLOSING = refused("rcpt", "421 4.3.2 Service shutting down, closing transmission channel")
GREY = refused("rcpt", "450 4.2.0 Greylisted, please try again in 300 seconds")
FULL = refused("rcpt", "452 4.2.2 Mailbox full")
BLOCKED = refused(
    "rcpt", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"
)
APPLE = refused(
    "rcpt", "421 4.7.1 Messages to elena@icloud.com deferred due to excessive volume. Try again later"
)


@pytest.mark.parametrize(
    ("error", "whose"),
    [
        (ReplyLost("dot", "no answer"), Blame.NOBODY_KNOWS),
        (RelayUnavailable("connect", "refused"), Blame.RELAY),
        (RelayUnavailable("connect", "refused", by_destination=True), Blame.DESTINATION),
        (refused("mail", "550 5.7.1 sender unwelcome"), Blame.RELAY),
        (refused("mail", "550 5.7.1 sender unwelcome", direct=True), Blame.DESTINATION),
        (CLOSING, Blame.RELAY),
        (THROTTLED, Blame.LIMIT),
        (QUOTA, Blame.LIMIT),
        (BLOCKED, Blame.LIMIT),
        (GONE, Blame.RECIPIENT),
        (GREY, Blame.RECIPIENT),
        (FULL, Blame.RECIPIENT),
        (APPLE, Blame.RECIPIENT),
        (refused("dot", "554 5.7.1 looks like spam"), Blame.MESSAGE),
        (refused("greeting", "450 4.2.0 Greylisted, try again"), Blame.RELAY),
    ],
)
def test_who_is_to_blame(error: ConversationError, whose: Blame) -> None:
    assert blame(error, limit_told_by(error, PROVIDERS)) == whose


@pytest.mark.parametrize(
    ("error", "passed_on"),
    [
        (THROTTLED, True),
        (QUOTA, True),
        (BLOCKED, True),
        (CLOSING, True),
        (RelayUnavailable("connect", "refused"), True),
        (GREY, False),
        (FULL, False),
        (GONE, False),
        (ReplyLost("dot", "no answer"), False),
    ],
)
def test_only_what_is_not_the_recipients_is_passed_on_to_another_relay(
    error: ConversationError, *, passed_on: bool
) -> None:
    assert is_relays_trouble(error) == passed_on


@pytest.mark.parametrize(
    ("error", "cause", "least", "most", "setback"),
    [
        (THROTTLED, Cause.PROVIDER_LIMIT, 10, 11, False),
        (QUOTA, Cause.PROVIDER_LIMIT, 3600, 3960, False),
        (
            refused("mail", "421 4.7.0 Rate limit, try again in 90 seconds"),
            Cause.PROVIDER_LIMIT,
            90,
            99,
            False,
        ),
        (BLOCKED, Cause.REPUTATION_BLOCK, 900, 14400, True),
        (GREY, Cause.GREYLISTED, 300, 330, True),
        (FULL, Cause.MAILBOX_FULL, 1800, 21600, True),
        (CLOSING, Cause.RELAY_UNAVAILABLE, 2, 300, True),
        (
            RelayUnavailable("connect", "down", by_destination=True),
            Cause.RECIPIENT_UNAVAILABLE,
            20,
            7200,
            True,
        ),
        (refused("rcpt", "451 4.3.0 try again later"), Cause.RECIPIENT_UNAVAILABLE, 20, 7200, True),
    ],
)
def test_what_may_pass_waits_with_its_cause(
    error: ConversationError, cause: Cause, *, least: float, most: float, setback: bool
) -> None:
    change = judge().after(error, claim(), NOW)
    assert (change.state, change.cause, change.setback) == (DeliveryState.DEFERRED, cause, setback)
    assert change.reason == error.public
    assert change.due_at is not None
    assert least <= (change.due_at - NOW).total_seconds() <= most


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (GONE, Cause.RECIPIENT_REFUSED),
        (refused("dot", "554 5.7.1 looks like spam"), Cause.MESSAGE_REFUSED),
        (refused("rcpt", "552 5.2.2 The account is over quota"), Cause.MAILBOX_FULL),
        (refused("data", "552 5.3.4 Message size exceeds fixed maximum message size"), Cause.MESSAGE_REFUSED),
    ],
)
def test_what_the_other_side_refuses_for_good_has_failed(error: ConversationError, cause: Cause) -> None:
    change = judge().after(error, claim(), NOW)
    assert (change.state, change.cause) == (DeliveryState.FAILED, cause)


def test_a_limit_of_ours_costs_no_attempt_and_no_setback() -> None:
    until = NOW + timedelta(seconds=40)
    wait = Wait(until, Cause.RELAY_LIMIT, "Relay mail-1 allows 30 messages a minute.")
    change = judge().waiting(wait, claim(), NOW)
    assert (change.state, change.cause, change.due_at) == (DeliveryState.DEFERRED, Cause.RELAY_LIMIT, until)
    assert not change.setback
    assert not change.attempted


@pytest.mark.parametrize("error", [THROTTLED, GREY, BLOCKED, CLOSING])
def test_what_could_only_be_tried_after_its_lifetime_is_expired(error: ConversationError) -> None:
    change = judge().after(error, claim(lives=timedelta(seconds=1)), NOW)
    assert (change.state, change.cause) == (DeliveryState.EXPIRED, Cause.GAVE_UP)
    wait = Wait(NOW + timedelta(minutes=1), Cause.RELAY_LIMIT, "Full.")
    assert judge().waiting(wait, claim(lives=timedelta(seconds=1)), NOW).state == DeliveryState.EXPIRED


def test_greylisting_is_never_tried_sooner_than_it_said_however_lucky_the_draw() -> None:
    lucky = cast(random.Random, _Lowest())
    change = Judge(chance=lucky, providers=PROVIDERS).after(GREY, claim(), NOW)
    assert change.due_at == NOW + timedelta(seconds=300)


class _Lowest:
    def uniform(self, low: float, _high: float) -> float:
        return low
