"""The retry policy: how long a wait may be, how it grows, and when there is none any more."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.outbound.retry import DEFAULT_RETRY_POLICY, Trouble, next_try

NOW = datetime(2026, 3, 2, tzinfo=UTC)
LATER = NOW + timedelta(days=5)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same draws at every run


def wait_seconds(trouble: Trouble, setbacks: int, seed: int) -> float:
    at = next_try(NOW, trouble=trouble, setbacks=setbacks, expires_at=LATER, chance=seeded(seed))
    assert at is not None
    return (at - NOW).total_seconds()


@given(trouble=st.sampled_from(Trouble), setbacks=st.integers(0, 40_000), seed=st.integers())
def test_a_wait_lies_between_floor_and_ceiling_however_often_it_failed(
    trouble: Trouble, setbacks: int, seed: int
) -> None:
    backoff = DEFAULT_RETRY_POLICY.backoff_of(trouble)
    wait = wait_seconds(trouble, setbacks, seed)
    assert backoff.floor_seconds <= wait <= backoff.ceiling_seconds
    assert wait <= max(backoff.floor_seconds, backoff.first_seconds * 2 ** min(setbacks, 40))


@pytest.mark.parametrize("trouble", [Trouble.RELAY, Trouble.RECIPIENT])
def test_waits_double_on_average_and_are_spread(trouble: Trouble) -> None:
    def waits(setbacks: int) -> list[float]:
        return [wait_seconds(trouble, setbacks, seed) for seed in range(500)]

    early, late = waits(2), waits(4)
    assert 3 < sum(late) / sum(early) < 5
    assert len(set(late)) > 400


def test_our_own_trouble_does_not_make_waits_grow() -> None:
    assert max(wait_seconds(Trouble.OURSELVES, 30, seed) for seed in range(100)) <= 5


def test_no_try_is_made_after_the_lifetime() -> None:
    soon = NOW + timedelta(seconds=1)
    assert next_try(NOW, trouble=Trouble.RECIPIENT, setbacks=0, expires_at=soon, chance=seeded(1)) is None


@pytest.mark.parametrize(
    ("trouble", "first", "longest"),
    [
        (Trouble.GREYLISTING, (60, 300), 900),
        (Trouble.MAILBOX_FULL, (1800, 3600), 6 * 3600),
        (Trouble.POLICY_BLOCK, (900, 1800), 4 * 3600),
    ],
)
def test_each_trouble_has_a_patience_of_its_own(
    trouble: Trouble, first: tuple[float, float], longest: float
) -> None:
    waits = [wait_seconds(trouble, 0, seed) for seed in range(200)]
    assert first[0] <= min(waits) and max(waits) <= first[1]
    assert max(wait_seconds(trouble, 30, seed) for seed in range(200)) > 0.9 * longest


@given(stated=st.integers(1, 80_000), seed=st.integers())
def test_a_wait_the_server_stated_is_kept_at_least(stated: int, seed: int) -> None:
    asked = timedelta(seconds=stated)
    at = next_try(
        NOW,
        trouble=Trouble.RECIPIENT,
        setbacks=0,
        expires_at=LATER,
        chance=seeded(seed),
        stated=asked,
    )
    assert at is not None
    assert asked <= at - NOW <= max(asked * 1.1, timedelta(minutes=1))


def test_the_sender_is_told_of_a_delay_long_before_the_delivery_expires() -> None:
    assert DEFAULT_RETRY_POLICY.delay_told_after == timedelta(hours=4)
    assert DEFAULT_RETRY_POLICY.lifetime == timedelta(days=5)
