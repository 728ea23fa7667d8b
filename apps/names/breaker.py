"""A circuit breaker as a value: what is known of one server's health, and what one more result makes of it. Pure.

    closed      asked as usual; failures in a row are counted
    resting     after `trips_after` failures in a row: left alone until `resting_until`
    half open   the rest is over: one attempt may try, the others come back in a moment
                it works: closed again; it fails: a rest twice as long, up to a ceiling

Rests are drawn a quarter around their length, so that a thousand workers do not come back in the same instant. What
fails while the server rests was begun before, tells nothing new, and lengthens nothing.

Times are seconds of the Unix clock: values travel between machines.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

COME_BACK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """`first_rest` 0: nothing rests ever. `probe` is how long one attempt may be the only one that tries."""

    trips_after: int = 3
    first_rest: float = 2
    ceiling: float = 300
    probe: float = 60


@dataclass(frozen=True, slots=True)
class Breaker:
    failures: int = 0
    rests: int = 0
    resting_until: float = 0
    probing_until: float = 0
    because: str = ""

    def blocked_until(self, now: float) -> float | None:
        """When to come back, or None: go ahead. Who goes ahead while it is half open asks `probed` first."""
        if now < self.resting_until:
            return self.resting_until
        if self.is_half_open(now) and now < self.probing_until:
            return min(self.probing_until, now + COME_BACK_SECONDS)
        return None

    def is_half_open(self, now: float) -> bool:
        return self.rests > 0 and now >= self.resting_until

    def probed(self, now: float, policy: BreakerPolicy) -> "Breaker":
        """One attempt begins while it is half open: the others wait for what becomes of it."""
        return replace(self, probing_until=now + policy.probe)

    def failed(self, because: str, now: float, policy: BreakerPolicy, draw: float) -> "Breaker":
        """One more failure. `draw` is a random number within [0, 1)."""
        if policy.first_rest <= 0 or now < self.resting_until:
            return self
        failures = self.failures + 1
        if failures < policy.trips_after and self.rests == 0:
            return replace(self, failures=failures, because=because)
        rest = min(policy.ceiling, policy.first_rest * 2 ** min(self.rests, 32)) * (0.75 + draw / 2)
        return Breaker(rests=self.rests + 1, resting_until=now + rest, because=because)

    def worked(self) -> "Breaker":
        """It does what it should: all is forgotten."""
        return Breaker()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
