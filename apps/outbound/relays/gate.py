"""Where limits stand: before each relay is asked, whether this message may go over it now.

The road knows no limits, only that somebody may say "not yet, because" and wants to hear what came of a message that
was let through: for the counts, and because a server's answer may tell of a limit of its own.
"""

from typing import Protocol
from uuid import UUID

from apps.outbound.delivery import Claim
from apps.outbound.models import Relay
from apps.outbound.relays.attempt import Attempt
from apps.outbound.waiting import Wait


class Permit(Protocol):
    """One message was let through over one relay."""

    async def give_back(self, attempt: Attempt | None) -> None:
        """It is over. None: it was interrupted, and nobody knows how far it came."""


class LinePermit(Protocol):
    """One more connection may be open, idle or not."""

    async def give_back(self) -> None:
        """It is closed."""


class Gate(Protocol):
    async def admit(self, claim: Claim, relay: Relay) -> Permit | Wait:
        """A permit, or until when to wait and why. Raises RelayRefused for what this relay never may be given."""

    async def linger(self, wait: Wait, since: float) -> bool:
        """Wait here when that is short; whether to ask again. `since`: monotonic seconds of the first asking."""

    async def open_line(self, relay: Relay, owner: UUID | None = None) -> LinePermit | Wait:
        """A permit for one more connection to a relay."""

    async def close(self) -> None: ...


class _OpenLine:
    async def give_back(self) -> None:
        pass


class OpenGate:
    """Lets everything through."""

    async def admit(self, _claim: Claim, _relay: Relay) -> Permit | Wait:
        return self

    async def linger(self, _wait: Wait, _since: float) -> bool:
        return False

    async def open_line(self, _relay: Relay, _owner: UUID | None = None) -> LinePermit | Wait:
        return _OpenLine()

    async def give_back(self, _attempt: Attempt | None) -> None:
        pass

    async def close(self) -> None:
        pass
