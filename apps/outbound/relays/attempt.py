"""What a road is told and what it answers: its bounds, and how one recipient fared."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from apps.outbound.delivery import Evidence
from apps.outbound.errors import ConversationError, RelayRefused
from apps.outbound.verdict import Blame, blame, limit_told_by
from apps.outbound.waiting import Wait
from apps.outbound.wire.conversation import Timeouts
from apps.outbound.wire.smtp_reply import Reply

# Told over which relay the dot is about to leave: a second try of what nobody can tell goes over the same one.
Fence = Callable[[uuid.UUID], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RelayPolicy:
    """Bounds for each relay in each process. Times are seconds; a first rest of 0 means that none rests ever.

    `connections` are as many as a drain has places: with fewer, a few destinations that stall behind a relay could hold
    all of them, and there would be no room for others. What a relay bears less than that, its limits or its 421 tell.
    `connections_per_server` is for the recipients' own servers, where nobody has agreed to take more.
    """

    connections: int = 1024
    connections_per_server: int = 5
    messages_per_connection: int = 100
    idle_seconds: float = 10
    plain_again_seconds: float = 600
    servers_tried: int = 5
    rests_after: int = 3
    rest_seconds: float = 2
    rest_ceiling_seconds: float = 300
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one recipient fared: the reply that accepted it, the error that did not, or until when it has to wait.

    With `waits` an error may stand too: one relay failed, and another one only had no room just then.
    """

    evidence: Evidence
    reply: Reply | None = None
    error: ConversationError | None = None
    waits: Wait | None = None


def speaks_against_server(error: ConversationError) -> bool:
    """Whether it is a sign that the server is unwell: no limit of its provider's, which is waited for by itself, and no
    dislike of this one sender, recipient or message.
    """
    if isinstance(error, RelayRefused) and error.phase == "mail" and error.permanent and error.code != 421:
        return False
    return blame(error, limit_told_by(error)) in {Blame.RELAY, Blame.DESTINATION}
