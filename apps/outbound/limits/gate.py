"""Where the road asks the limits: whether a message may go over a relay now, and what is to be learnt from the answer.

    admit       a permit for one message over one relay, or a Wait, at once: another relay may have room
    linger      no relay has room: wait here for the first of them, when that is short
    give_back   the message is over: it counts, and the server's answer may tell of a limit of its own
    open_line   a permit for one more connection, idle or not; given back when it is closed

The gate knows the rules as they were a moment ago (`RULES_GOOD_FOR_SECONDS`); changed rules need no restart.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from apps.organisations.database_threads import DatabaseThreads
from apps.outbound.errors import ConversationError, RelayRefused
from apps.outbound.limits.bounds import Demands, Granted
from apps.outbound.limits.limiter import Limiter, open_limiter
from apps.outbound.limits.rules import (
    Addressed,
    Named,
    Rules,
    demands_for,
    line_demand,
    load_rules,
    too_large,
)
from apps.outbound.models import Lane
from apps.outbound.waiting import Wait

RULES_GOOD_FOR_SECONDS = 2.0
# A wait as short as this is waited for where it is met; a longer one goes back to the queue, and so does a message that
# has met so many short ones.
PATIENCE_SECONDS = 1.5
LONGEST_STAY_SECONDS = 20.0


class Evidenced(Protocol):
    @property
    def phases_ms(self) -> dict[str, int]: ...


class Attempted(Protocol):
    """What came of it, as far as limits care."""

    @property
    def error(self) -> ConversationError | None: ...
    @property
    def evidence(self) -> Evidenced: ...


@dataclass(frozen=True, slots=True)
class Permit:
    """One message was let through over one relay."""

    limiter: Limiter
    granted: Granted
    relay: Named
    destination: str
    direct: bool

    async def give_back(self, attempt: Attempted | None) -> None:
        """It is over. None: it was interrupted, and nobody knows how far it came, so it counts."""
        begun = attempt is None or "mail" in attempt.evidence.phases_ms
        await self.limiter.release(self.granted, used=begun)
        if attempt is not None and isinstance(attempt.error, RelayRefused):
            await self.limiter.feedback(self.relay, self.destination, attempt.error, direct=self.direct)


@dataclass(frozen=True, slots=True)
class LinePermit:
    """One connection may be open."""

    limiter: Limiter
    granted: Granted

    async def give_back(self) -> None:
        await self.limiter.release(self.granted, used=False)


class LimitGate:
    """The limits as one drain's road meets them."""

    def __init__(self, limiter: Limiter, database: DatabaseThreads) -> None:
        self._limiter = limiter
        self._database = database
        self._rules = Rules()
        self._rules_good_until = float("-inf")
        self._loading = asyncio.Lock()

    async def admit(self, claim: Addressed, relay: Named) -> Permit | Wait:
        """A permit, or until when to wait and why.

        Raises RelayRefused (`envelope`) for a message that is larger than the relay's limit: another one may take it.
        """
        demands = demands_for(claim, relay, await self._current_rules())
        if reason := too_large(claim.size_bytes, demands):
            raise RelayRefused("envelope", reason, code=552, enhanced="5.3.4")
        answer = await self._limiter.admit(demands)
        if isinstance(answer, Wait):
            return answer
        direct = bool(getattr(relay, "is_direct", False))
        return Permit(self._limiter, answer, relay, claim.destination, direct)

    async def linger(self, wait: Wait, since: float) -> bool:
        """Wait a little, and whether to ask again then. `since` (monotonic) is when the message first asked."""
        left = since + LONGEST_STAY_SECONDS - time.monotonic()
        return await self._limiter.linger(wait, patience_seconds=min(PATIENCE_SECONDS, left))

    async def open_line(self, relay: Named, owner: UUID | None, lane: Lane) -> LinePermit | Wait:
        """A permit for one more connection to a relay. `owner` is whose relay it is, where it is one organisation's."""
        demand = line_demand(relay, await self._current_rules(), owner, lane)
        demands = Demands((demand,) if demand else ())
        answer = await self._limiter.admit(demands, patience_seconds=PATIENCE_SECONDS)
        return answer if isinstance(answer, Wait) else LinePermit(self._limiter, answer)

    async def close(self) -> None:
        await self._limiter.close()

    async def _current_rules(self) -> Rules:
        if time.monotonic() > self._rules_good_until:
            async with self._loading:
                if time.monotonic() > self._rules_good_until:
                    self._rules = await self._database(load_rules)
                    self._rules_good_until = time.monotonic() + RULES_GOOD_FOR_SECONDS
        return self._rules


def open_gate(database: DatabaseThreads) -> LimitGate:
    """The installation's limits, for the running event loop."""
    return LimitGate(open_limiter(database), database)
