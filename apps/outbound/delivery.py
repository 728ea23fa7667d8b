"""Claims: who may work on a delivery, until when, and what came of it.

    claim_due        lease and token, an attempt's row; the sender's copy goes from Outbox to Sent
    keep_alive       every quarter of the lease, while the worker lives
    commit_to_send   the fence: committed immediately before the final dot, or no dot
    record_result    the next state and the evidence, in one transaction

Every step needs the claim's token and changes nothing with an older one. What a crash leaves: before the fence a lease
that lapses and a delivery that is queued again; at or after it a delivery that is `uncertain`; after `record_result`
nothing at all.

Nothing here speaks SMTP, and no transaction is open while somebody does.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import transaction

from apps.mailboxes.addresses import find_owned
from apps.mailboxes.models import Folder, Mailbox, Message, MessageKind
from apps.mailboxes.services import move_sender_copy
from apps.mime.address import normalise_address
from apps.outbound import transitions
from apps.outbound.causes import Cause
from apps.outbound.errors import LeaseLost
from apps.outbound.models import Delivery, DeliveryAttempt, DeliveryState, Lane, Route
from apps.outbound.transitions import Change
from apps.tickets.intake import deliver_locally


@dataclass(frozen=True, slots=True)
class LeasePolicy:
    """How long a worker may be silent, and how often it speaks."""

    lease: timedelta = timedelta(seconds=60)
    renew_every: timedelta = timedelta(seconds=15)


DEFAULT_LEASE_POLICY = LeasePolicy()


@dataclass(frozen=True, slots=True)
class Claim:
    """One delivery that is ours until the lease lapses, with what sending it needs."""

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
    kind: str = MessageKind.MAIL

    @classmethod
    def of(cls, delivery: Delivery) -> "Claim":
        if delivery.lease_token is None:
            msg = f"delivery {delivery.pk} is not leased"
            raise ValueError(msg)
        return cls(
            delivery_id=delivery.pk,
            token=delivery.lease_token,
            number=delivery.attempts_made,
            message_id=delivery.message_id,
            organisation_id=delivery.organisation_id,
            route=Route(delivery.route),
            sender=delivery.message.sender_address,
            recipient=delivery.recipient,
            size_bytes=delivery.message.size_bytes,
            setbacks=delivery.setbacks,
            expires_at=delivery.expires_at,
            kind=delivery.message.kind,
        )


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


def claim_due(lane: Lane, *, limit: int, policy: LeasePolicy = DEFAULT_LEASE_POLICY) -> list[Claim]:
    """Lease up to `limit` due deliveries of a lane to this worker, oldest first.

    An empty list is ordinary: another worker was quicker, or nothing is due. Leases run on PostgreSQL's clock and are
    renewed by `keep_alive`. A claim's token fences: `commit_to_send` and `record_result` with an older token change
    nothing and raise LeaseLost.
    """
    with transaction.atomic():
        taken = transitions.take_up(lane, limit=limit, lease=policy.lease)
        first_taken = {one.message_id: one.message for one in taken if one.attempts_made == 1}
        for _message_id, message in sorted(first_taken.items()):
            move_sender_copy(message, Folder.SENT)
    return [Claim.of(one) for one in taken]


def keep_alive(
    tokens: Collection[uuid.UUID], *, policy: LeasePolicy = DEFAULT_LEASE_POLICY
) -> set[uuid.UUID]:
    """Renew leases; the tokens that still are ours. The others may be another worker's by now."""
    return transitions.renew_leases(tokens, lease=policy.lease)


def commit_to_send(claim: Claim) -> None:
    """Pass the fence: it is committed that the dot may have been sent. Raises LeaseLost; then send none."""
    transitions.pass_fence(claim.delivery_id, claim.token)


def record_result(claim: Claim, change: Change, evidence: Evidence, now: datetime) -> None:
    """Write what an attempt came to. Writing the same result again changes nothing.

    An answer that comes after the lease lapsed still decides a delivery that became `uncertain` meanwhile, because the
    server's word is better than nobody's. Raises LeaseLost when somebody else has acted since.
    """
    change = replace(change, relay_id=evidence.relay_id)
    with transaction.atomic():
        try:
            transitions.leave_sending(claim.delivery_id, claim.token, change, now)
        except LeaseLost:
            if _is_recorded(claim, change):
                return
            if not transitions.decide_by_late_answer(claim.delivery_id, claim.number, change, now):
                raise
        DeliveryAttempt.objects.filter(delivery=claim.delivery_id, number=claim.number).update(
            finished_at=now,
            outcome=change.state,
            relay=evidence.relay_id,
            code=evidence.code,
            enhanced=evidence.enhanced,
            text=evidence.text or change.reason,
            server=evidence.server,
            tls=evidence.tls,
            phases_ms=evidence.phases_ms,
        )


def _is_recorded(claim: Claim, change: Change) -> bool:
    """Whether this very result was committed although its commit seemed to fail."""
    return DeliveryAttempt.objects.filter(
        delivery=claim.delivery_id,
        number=claim.number,
        token=claim.token,
        outcome=change.state,
        delivery__state=change.state,
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
    owned = find_owned([normal]).get(normal)
    return owned.mailbox if owned is not None and owned.organisation_id == claim.organisation_id else None


def no_such_address(recipient: str) -> Change:
    """What becomes of a recipient in our own domain that nobody owns: it exists nowhere, so no server need be asked."""
    return Change(
        DeliveryState.FAILED,
        Cause.NO_SUCH_ADDRESS,
        f"550 5.1.1 There is no {recipient} here: nobody owns this address.",
    )
