"""What a delivery becomes, and the conditional UPDATE of those that are chosen by a query."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet

from apps.outbound.causes import Cause
from apps.outbound.models import UNFINISHED, Delivery, DeliveryState, Phase
from apps.outbound.transitions.settling import tell


@dataclass(frozen=True, slots=True)
class Change:
    """What a delivery becomes. `due_at` goes with the waiting states only; a setback lengthens the next wait.

    `attempted` is false where a worker took it up and no server was asked: that used up no attempt and leaves no row of
    one.
    """

    state: DeliveryState
    cause: Cause = Cause.NONE
    reason: str = ""
    due_at: datetime | None = None
    setback: bool = False
    relay_id: uuid.UUID | None = None
    attempted: bool = True

    def columns(self, now: datetime) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "state": self.state,
            "phase": Phase.NONE,
            "cause": self.cause,
            "reason": self.reason,
            "due_at": self.due_at,
            "lease_token": None,
            "lease_expires_at": None,
            "finished_at": None if self.state in UNFINISHED else now,
        }
        if self.setback:
            columns["setbacks"] = F("setbacks") + 1
        if self.relay_id is not None:
            columns["relay_id"] = self.relay_id
        return columns


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery in somebody's hands, and the token that says whose. The relay is the one being asked."""

    delivery_id: uuid.UUID
    token: uuid.UUID
    relay_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an attempt met: the server's words, and where the time went."""

    relay_id: uuid.UUID | None = None
    code: int | None = None
    enhanced: str = ""
    text: str = ""
    server: str = ""
    tls: str = ""
    phases_ms: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ending:
    """What the attempt of that number came to, told by the holder of the token."""

    delivery_id: uuid.UUID
    token: uuid.UUID
    number: int
    message_id: uuid.UUID
    change: Change
    evidence: Evidence


def apply_change(
    deliveries: QuerySet[Delivery],
    change: Change,
    now: datetime,
    actor: str = "",
    more: dict[str, Any] | None = None,
) -> int:
    """The conditional UPDATE of `deliveries`, and all that goes with it, in the caller's transaction; how many."""
    # Locked first, by id, so that the ids told of are exactly those changed.
    ids = list(deliveries.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    changed = deliveries.filter(pk__in=ids).update(**change.columns(now), **(more or {}))
    tell(ids, actor)
    return changed
