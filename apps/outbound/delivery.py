"""Claims: who may work on a delivery, until when, and what came of it.

    claim_due        lease and token, an attempt's row; then screening (`screening`), and the sender's copy to Sent
    keep_alive       every quarter of the lease, while the worker lives
    commit_to_send   the fence: committed immediately before the final dot, or no dot
    record_result    the next state and the evidence, in one transaction

Every step needs the claim's token and changes nothing with an older one. What a crash leaves: before the fence a lease
that lapses and a delivery that is queued again; at or after it a delivery that is `uncertain`; after `record_result`
nothing at all.

What a worker does for many claims goes into one commit: hundreds of conversations wait for the same fsync.

Nothing here speaks SMTP, and no transaction is open while somebody does.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

from django.db import transaction

from apps.mailboxes.addresses import look_up
from apps.mailboxes.models import Mailbox, Message, MessageKind
from apps.mime.address import normalise_address
from apps.outbound import transitions
from apps.outbound.bounces.return_path import return_paths
from apps.outbound.causes import Cause
from apps.outbound.errors import LeaseLost
from apps.outbound.models import DeliveryAttempt, DeliveryState, Lane, Route
from apps.outbound.transitions import (
    Change,
    Ending,
    Evidence,
    Held,
    Room,
    TakenUp,
    next_due_at,
    take_by_destination,
    take_oldest,
)
from apps.outbound.wire.conversation import Envelope
from apps.tickets.intake import deliver_locally

__all__ = [
    "Claim",
    "Claims",
    "Evidence",
    "LeasePolicy",
    "Result",
    "claim_due",
    "claim_within",
    "commit_all_to_send",
    "commit_to_send",
    "deliver_here",
    "keep_alive",
    "next_due_at",
    "no_such_address",
    "record_result",
    "record_results",
]


@dataclass(frozen=True, slots=True)
class LeasePolicy:
    """How long a worker may be silent, and how often it speaks."""

    lease: timedelta = timedelta(seconds=60)
    renew_every: timedelta = timedelta(seconds=15)


DEFAULT_LEASE_POLICY = LeasePolicy()
_TAKEN_UP = [one.name for one in fields(TakenUp)]


@dataclass(frozen=True, slots=True)
class Claim:
    """One delivery that is ours until the lease lapses, with what sending it needs. `return_path` is whom a bounce of
    this very delivery comes back to; None, the sender."""

    delivery_id: uuid.UUID
    token: uuid.UUID
    number: int
    message_id: uuid.UUID
    organisation_id: uuid.UUID
    route: Route
    sender: str
    recipient: str
    size_bytes: int
    setbacks: int
    expires_at: datetime
    lane: Lane = Lane.INTERACTIVE
    destination: str = ""
    pinned_relay_id: uuid.UUID | None = None
    cancel_if_replied: bool = False
    kind: str = MessageKind.MAIL
    return_path: str | None = None

    @classmethod
    def of(cls, taken: TakenUp, return_path: str) -> "Claim":
        columns = {name: getattr(taken, name) for name in _TAKEN_UP}
        return cls(
            **columns | {"route": Route(taken.route), "lane": Lane(taken.lane)}, return_path=return_path
        )

    @property
    def envelope(self) -> Envelope:
        return Envelope(self.sender if self.return_path is None else self.return_path, self.recipient)

    def held(self, relay_id: uuid.UUID | None = None) -> Held:
        return Held(self.delivery_id, self.token, relay_id)


@dataclass(frozen=True, slots=True)
class Result:
    """What a claim came to."""

    claim: Claim
    change: Change
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def ending(self) -> Ending:
        claim = self.claim
        return Ending(
            claim.delivery_id, claim.token, claim.number, claim.message_id, self.change, self.evidence
        )


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims, and where to look further: see `transitions.taking_up`."""

    claims: list[Claim]
    hidden: bool
    walked_to: str


def claim_due(lane: Lane, *, limit: int, policy: LeasePolicy = DEFAULT_LEASE_POLICY) -> list[Claim]:
    """Lease up to `limit` due deliveries of a lane to this worker, the oldest first, in turns of their destinations.

    An empty list is ordinary: another worker was quicker, or nothing is due. Leases run on PostgreSQL's clock and are
    renewed by `keep_alive`. A claim's token fences: `commit_to_send` and `record_result` with an older token change
    nothing and raise LeaseLost.
    """
    return claim_within(lane, Room(limit, limit), policy=policy).claims


def claim_within(
    lane: Lane, room: Room, *, walk_from: str | None = None, policy: LeasePolicy = DEFAULT_LEASE_POLICY
) -> Claims:
    """`claim_due` for one who holds claims already and must leave room for other destinations.

    With `walk_from` the lane is walked from after that destination on.
    """
    if walk_from is None:
        takings = take_oldest(lane, room, lease=policy.lease)
    else:
        takings = take_by_destination(lane, room, after=walk_from, lease=policy.lease)
    paths = return_paths()
    claims = [Claim.of(one, paths.of(one.delivery_id, one.sender, one.kind)) for one in takings.deliveries]
    return Claims(claims, takings.hidden, takings.last)


def keep_alive(
    tokens: Collection[uuid.UUID], *, policy: LeasePolicy = DEFAULT_LEASE_POLICY
) -> set[uuid.UUID]:
    """Renew leases; the tokens that still are ours. The others may be another worker's by now."""
    return transitions.renew_leases(tokens, lease=policy.lease)


def commit_to_send(claim: Claim) -> None:
    """Pass the fence: it is committed that the dot may have been sent. Raises LeaseLost; then send none."""
    if not transitions.pass_fence([claim.held()]):
        raise LeaseLost(claim.delivery_id)


def commit_all_to_send(held: Sequence[Held]) -> list[LeaseLost | None]:
    """`commit_to_send` for many in one commit, with the relays they go over; for each None, or what it would raise."""
    passed = transitions.pass_fence(held)
    return [None if one.token in passed else LeaseLost(one.delivery_id) for one in held]


def record_result(claim: Claim, change: Change, evidence: Evidence, now: datetime) -> None:
    """Write what an attempt came to. Writing the same result again changes nothing.

    An answer that comes after the lease lapsed still decides a delivery that became `uncertain` meanwhile, because the
    server's word is better than nobody's. Raises LeaseLost when somebody else has acted since.
    """
    (lost,) = record_results([Result(claim, change, evidence)], now)
    if lost is not None:
        raise lost


def record_results(results: Sequence[Result], now: datetime) -> list[LeaseLost | None]:
    """`record_result` for many in one transaction; for each None, or what it would raise.

    Those that came too late are looked at one by one, each in a transaction of its own.
    """
    left = transitions.leave_sending([one.ending for one in results], now)
    return [
        None
        if one.claim.token in left or _is_recorded(one) or _decides_late(one, now)
        else LeaseLost(one.claim.delivery_id)
        for one in results
    ]


@transaction.atomic
def _decides_late(result: Result, now: datetime) -> bool:
    """Whether a result whose lease is gone decides what became uncertain."""
    return transitions.decide_by_late_answer(result.ending, now)


def _is_recorded(result: Result) -> bool:
    """Whether this very result was committed although its commit seemed to fail."""
    return DeliveryAttempt.objects.filter(
        delivery=result.claim.delivery_id,
        number=result.claim.number,
        token=result.claim.token,
        outcome=result.change.state,
        delivery__state=result.change.state,
        finished_at__isnull=False,
    ).exists()


def deliver_here(claim: Claim, now: datetime) -> None:
    """Lay a message into our own Inbox whose undo window or schedule has passed. Raises LeaseLost.

    The mailbox is looked up now: since the submission the address may have got another owner, or none.
    """
    with transaction.atomic():
        mailbox = _owner_of(claim)
        if mailbox is None:
            record_result(claim, no_such_address(claim.recipient), Evidence(), now)
            return
        record_result(claim, Change(DeliveryState.DELIVERED), Evidence(text="Laid into the Inbox."), now)
        message = Message.objects.select_related("thread").get(pk=claim.message_id)
        deliver_locally(message, [mailbox], now)


def _owner_of(claim: Claim) -> Mailbox | None:
    normal = normalise_address(claim.recipient)
    return look_up(claim.organisation_id, [normal]).mailbox_for(normal)


def no_such_address(recipient: str) -> Change:
    """What becomes of a recipient in our own domain that nobody owns: it exists nowhere, so no server need be asked."""
    return Change(
        DeliveryState.FAILED,
        Cause.NO_SUCH_ADDRESS,
        f"550 5.1.1 There is no {recipient} here: nobody owns this address.",
    )
