"""A brake on guessing passwords and keys, at every door where they are said.

Failures are counted for each account from each network address, for each account, and for each network address; a
counter lives as long as its window, counted from its first failure. Whoever has got in from an address within a month
is not barred for what others do: neither for strangers who guess at the account, nor for a neighbour behind the same
address whose program tries an old password all day.

Counters live in Redis, which may be lost: an attacker then gets some guesses more. While it is away each process counts
for itself.

Limits: behind a proxy all people share the proxy's address until the server passes the real one on.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog
from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

WINDOW_SECONDS: Final = 15 * 60
KNOWN_SECONDS: Final = 30 * 24 * 60 * 60
MAX_FAILURES_OF_PAIR = 8
MAX_FAILURES_OF_ACCOUNT = 40
MAX_FAILURES_OF_NETWORK_ADDRESS = 80

Answer = TypeVar("Answer")
_own_memory = LocMemCache("guesses", {"OPTIONS": {"MAX_ENTRIES": 10_000}})


@dataclass(frozen=True, slots=True)
class Guess:
    """One try at a door. `network_address` is "" for a peer whose address says nothing about who it is."""

    door: str
    account: str
    network_address: str

    @property
    def is_barred(self) -> bool:
        """Whether it must wait, whatever its secret is."""
        counted = _remembering(lambda memory: memory.get_many([*self._limits, self._known]))
        is_known = self._known in counted
        return any(
            counted.get(name, 0) >= limit
            for name, limit in self._limits.items()
            if name == self._pair or not is_known
        )

    def failed(self) -> None:
        """Count it."""
        for name in self._limits:
            _remembering(lambda memory, name=name: _count(memory, name))  # type: ignore[misc]

    def succeeded(self) -> None:
        """Remember that this account comes from here."""
        _remembering(lambda memory: memory.set(self._known, 1, KNOWN_SECONDS))

    @property
    def _limits(self) -> dict[str, int]:
        limits = {self._pair: MAX_FAILURES_OF_PAIR, f"{self.door}:{self._who}": MAX_FAILURES_OF_ACCOUNT}
        if self.network_address:
            limits[f"{self.door}::{self.network_address}"] = MAX_FAILURES_OF_NETWORK_ADDRESS
        return limits

    @property
    def _pair(self) -> str:
        return f"{self.door}:{self._who}:{self.network_address}"

    @property
    def _known(self) -> str:
        return f"{self._pair}:known"

    @property
    def _who(self) -> str:
        # A digest: what people type into the wrong field is often a password.
        account = self.account.strip().lower().encode("utf-8", "surrogatepass")
        return hashlib.sha256(account).hexdigest()[:32]


def _remembering(ask: Callable[[BaseCache], Answer]) -> Answer:
    try:
        return ask(cache)
    except RedisError as error:
        log.warning("guesses_counted_alone", error=type(error).__name__)
        return ask(_own_memory)


def _count(memory: BaseCache, name: str) -> None:
    if memory.add(name, 1, WINDOW_SECONDS):
        return
    try:
        memory.incr(name)
    except ValueError:
        memory.add(name, 1, WINDOW_SECONDS)  # its window ended between the two calls
