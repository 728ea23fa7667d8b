"""A brake on guessing passwords and keys, at every door where they are said.

Failures are counted for each account from each network address, for each account, and for each network address; a
counter lives as long as its window, counted from its first failure. Whoever has got in from an address within a month
is not barred for what others do: neither for strangers who guess at the account, nor for a neighbour behind the same
address whose program tries an old password all day. Where several have secrets of their own for one account, as for a
shared mailbox, that holds for each secret: an old one bars nobody who has got in there with another.

Counters live in Redis, which may be lost: an attacker then gets some guesses more. While it is away each process counts
for itself.

Limits: behind a proxy all people share the proxy's address until the server passes the real one on.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
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
    """One try at a door. `network_address` is "" for a peer whose address says nothing about who it is. `secret`: what
    was said, where it is random and so long that a digest tells nothing of it; "" for what a person has thought of."""

    door: str
    account: str
    network_address: str
    secret: str = field(default="", repr=False)

    @property
    def is_barred(self) -> bool:
        """Whether it must wait, whatever its secret is."""
        counted = _remembering(lambda memory: memory.get_many([*self._limits, self._known, self._trusted]))
        if self.secret and self._trusted in counted:
            return False
        is_known = self._known in counted
        return any(
            counted.get(name, 0) >= limit
            for name, limit in self._limits.items()
            if name == self._pair or not is_known
        )

    def failed(self) -> None:
        """Count it. A secret that opened once and was taken back is a guess like any other."""
        for name in self._limits:
            _remembering(partial(_count, name))
        _remembering(lambda memory: memory.delete(self._trusted))

    def succeeded(self) -> None:
        """Remember that this account, with this secret, comes from here."""
        known = dict.fromkeys((self._known, self._trusted), 1)
        _remembering(lambda memory: memory.set_many(known, KNOWN_SECONDS))

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
    def _trusted(self) -> str:
        return f"{self._pair}:known:{_digest_of(self.secret)}"

    @property
    def _who(self) -> str:
        # A digest: what people type into the wrong field is often a password.
        return _digest_of(self.account.strip().lower())


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _remembering(ask: Callable[[BaseCache], Answer]) -> Answer:
    try:
        return ask(cache)
    except RedisError as error:
        log.warning("guesses_counted_alone", error=type(error).__name__)
        return ask(_own_memory)


def _count(name: str, memory: BaseCache) -> None:
    if memory.add(name, 1, WINDOW_SECONDS):
        return
    try:
        memory.incr(name)
    except ValueError:
        memory.add(name, 1, WINDOW_SECONDS)  # its window ended between the two calls
