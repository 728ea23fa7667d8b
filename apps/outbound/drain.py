"""Empties one lane in one process: claims in batches, hundreds of conversations in flight on one event loop.

A drain runs while there is something to do. It claims up to a batch whenever it has room, carries each claim in a
task of its own, renews all leases together, and ends when nothing is due and nothing is in flight. A wake-up during
that makes it look again.

Told to stop, it claims no more and gives back what has not passed the fence; what has passed it gets a grace to
hear the server's answer, because without it the delivery is `uncertain`. Being killed is the same without the
manners.

PostgreSQL being away ends no conversation that is past the fence: its result is written as soon as it can be. What
could not be claimed or fenced is left to its lease.
"""

import asyncio
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from django.utils import timezone

from apps.blobs.errors import BlobMissing, ObjectStoreUnavailable
from apps.mailboxes.models import Message
from apps.mailboxes.selectors import raw_of
from apps.outbound.bodies import Bodies
from apps.outbound.bounces.return_path import return_paths
from apps.outbound.bounces.suppressions import suppressed_among
from apps.outbound.causes import Cause
from apps.outbound.database_threads import DATABASE_AWAY, DatabaseThreads
from apps.outbound.delivery import (
    Claim,
    Evidence,
    LeasePolicy,
    claim_due,
    commit_to_send,
    deliver_here,
    keep_alive,
    record_result,
)
from apps.outbound.errors import LeaseLost
from apps.outbound.models import DeliveryState, Lane, Relay, Route
from apps.outbound.relay import Attempt, RelayPolicy, RelayRoad
from apps.outbound.relays.environment import active_relays
from apps.outbound.retry import DEFAULT_RETRY_POLICY, RetryPolicy, Trouble
from apps.outbound.transitions import Change
from apps.outbound.verdict import Judge, accepted
from apps.outbound.wire.conversation import Envelope
from apps.outbound.wire.payload import Payload

log = structlog.get_logger(__name__)

RECORD_AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """Bounds of one process's drain of one lane. Times are seconds."""

    claims: int = 50
    in_flight: int = 200
    bytes_in_flight: int = 64 * 1024 * 1024
    database_threads: int = 4
    grace: float = 3
    record_patience: float = 120
    lease: LeasePolicy = field(default_factory=LeasePolicy)
    relay: RelayPolicy = field(default_factory=RelayPolicy)
    retry: RetryPolicy = DEFAULT_RETRY_POLICY


@dataclass(slots=True)
class _Held:
    """A claim being carried. `fenced` is true once the dot may have been sent; `decided` is what becomes of a delivery
    that is not to be sent."""

    claim: Claim
    fenced: bool = False
    decided: Change | None = None
    task: "asyncio.Task[None] | None" = None


class Drain:
    """One lane's drain. Made and run on one event loop; `wake` and `stop` are called on it too."""

    def __init__(self, lane: Lane, policy: DrainPolicy | None = None) -> None:
        self._lane = lane
        self._policy = policy or DrainPolicy()
        self._database = DatabaseThreads(self._policy.database_threads)
        self._road = RelayRoad(self._policy.relay)
        self._judge = Judge(self._policy.retry, random.SystemRandom())
        self._return_paths = return_paths()
        self._bodies = Bodies(self._read, bound_bytes=self._policy.bytes_in_flight)
        self._held: dict[uuid.UUID, _Held] = {}
        self._woken = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Something may be due: look again before ending."""
        self._woken.set()

    def stop(self) -> None:
        """Claim no more, give back what can be given back, and end within the grace."""
        self._stopping = True
        self._woken.set()
        for held in self._held.values():
            if held.task is not None and not held.fenced:
                held.task.cancel()
        asyncio.get_running_loop().call_later(self._policy.grace, self._cut_off)

    def _cut_off(self) -> None:
        for held in self._held.values():
            if held.task is not None:
                held.task.cancel()

    @property
    def is_woken(self) -> bool:
        """Whether a wake-up came after the last look."""
        return self._woken.is_set()

    async def run(self) -> None:
        """Drain until nothing is due and nothing in flight. A PostgreSQL that is away has nothing due."""
        try:
            async with asyncio.TaskGroup() as group:
                keeper = group.create_task(self._keep_leases())
                await self._carry_all(group)
                await self._until_empty_handed()
                keeper.cancel()
        finally:
            await self._road.close()
            self._database.close()

    # claiming

    async def _carry_all(self, group: asyncio.TaskGroup) -> None:
        while not self._stopping:
            self._woken.clear()
            room = self._policy.in_flight - len(self._held)
            claims = await self._claim(min(room, self._policy.claims)) if room > 0 else {}
            for claim, decided in claims.items():
                self._take_on(group, claim, decided)
            if not claims and not await self._worth_looking_again():
                return

    async def _claim(self, limit: int) -> dict[Claim, Change | None]:
        try:
            relays, claims = await self._database(self._look, limit)
        except DATABASE_AWAY as error:
            log.warning("nothing_claimed", lane=self._lane.value, error=type(error).__name__)
            return {}
        if claims:
            self._road.use(relays)
        return claims

    def _look(self, limit: int) -> tuple[list[Relay], dict[Claim, Change | None]]:
        claims = claim_due(self._lane, limit=limit, policy=self._policy.lease)
        return (active_relays() if claims else []), dict(zip(claims, decided_already(claims), strict=True))

    async def _worth_looking_again(self) -> bool:
        """Wait until a wake-up comes or a place becomes free; false once nothing is in flight and nobody woke us."""
        if self._held:
            await self._woken.wait()
        return self._woken.is_set()

    def _take_on(self, group: asyncio.TaskGroup, claim: Claim, decided: Change | None) -> None:
        held = self._held[claim.token] = _Held(claim, decided=decided)
        held.task = group.create_task(self._carry(held))
        held.task.add_done_callback(lambda _task: self._put_down(held))
        if self._stopping:
            held.task.cancel()

    def _put_down(self, held: _Held) -> None:
        was_full = len(self._held) >= self._policy.in_flight
        self._held.pop(held.claim.token, None)
        if was_full or not self._held:
            self._woken.set()

    async def _until_empty_handed(self) -> None:
        tasks = [held.task for held in self._held.values() if held.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._policy.lease.renew_every.total_seconds())
            if not self._held:
                continue
            try:
                kept = await self._database(keep_alive, list(self._held), policy=self._policy.lease)
            except DATABASE_AWAY as error:
                log.warning("leases_not_renewed", lane=self._lane.value, error=type(error).__name__)
                continue
            for token in self._held.keys() - kept:
                # The fence would find out; a long upload need not go on until then.
                held = self._held[token]
                if held.task is not None and not held.fenced:
                    held.task.cancel()

    # carrying one claim

    async def _carry(self, held: _Held) -> None:
        """Whatever happens to one delivery must not end the others."""
        try:
            await self._bring_on(held)
        except Exception:
            log.exception("delivery_left_to_its_lease", delivery=str(held.claim.delivery_id))

    async def _bring_on(self, held: _Held) -> None:
        """Bring one delivery to its next state."""
        claim = held.claim
        try:
            if held.decided is not None:
                await self._record(held, held.decided)
            elif claim.route == Route.LOCAL:
                await self._database(deliver_here, claim, timezone.now())
            else:
                await self._send(held)
        except LeaseLost:
            log.info("lease_lost", delivery=str(claim.delivery_id))
        except ObjectStoreUnavailable:
            await self._put_off(
                held, Cause.STORE_UNAVAILABLE, "The message's bytes cannot be read: S3 does not answer."
            )
        except BlobMissing:
            await self._record(
                held,
                Change(
                    DeliveryState.REJECTED,
                    Cause.BYTES_MISSING,
                    "The message's bytes are nowhere to be found.",
                ),
            )
        except asyncio.CancelledError:
            if held.fenced:
                raise
            await self._put_off(
                held, Cause.WORKER_STOPPED, "Its worker was stopped before the message was complete."
            )
        except DATABASE_AWAY as error:
            log.warning("delivery_interrupted", delivery=str(claim.delivery_id), error=type(error).__name__)
            await self._put_off(
                held, Cause.PLATFORM_FAULT, "The database did not answer before the message was complete."
            )
        except Exception:
            log.exception("delivery_failed_by_us", delivery=str(claim.delivery_id))
            await self._put_off(
                held, Cause.PLATFORM_FAULT, "An unforeseen fault of ours; the log has the details."
            )

    async def _send(self, held: _Held) -> None:
        claim = held.claim

        async def fence() -> None:
            await self._database(commit_to_send, claim)
            held.fenced = True

        async with self._bodies.borrow(claim.message_id, claim.size_bytes) as payload:
            envelope = Envelope(
                self._return_paths.of(claim.delivery_id, claim.sender, claim.kind), claim.recipient
            )
            attempt = await self._road.attempt(envelope, payload, fence)
        await self._record(held, self._change_after(attempt, claim), attempt.evidence)

    def _change_after(self, attempt: Attempt, claim: Claim) -> Change:
        if attempt.reply is not None:
            return accepted(attempt.reply, attempt.evidence.server)
        if attempt.error is None:
            msg = "an attempt ends with a reply or an error"
            raise AssertionError(msg)
        return self._judge.after(attempt.error, claim, timezone.now())

    async def _put_off(self, held: _Held, cause: Cause, reason: str) -> None:
        """Our own trouble, before any dot: the delivery is due again in a moment, and nothing counts against it."""
        if held.fenced:
            # Nobody can tell; the lease lapses and the sweeper calls it `uncertain`.
            return
        change = self._judge.put_off(held.claim, timezone.now(), Trouble.OURSELVES, cause, reason)
        await self._record(held, change, Evidence())

    async def _record(self, held: _Held, change: Change, evidence: Evidence | None = None) -> None:
        """Write a result, as often as it takes while PostgreSQL is away: nobody else knows it."""
        claim = held.claim
        give_up_at = asyncio.get_running_loop().time() + self._policy.record_patience
        while True:
            try:
                await self._database(record_result, claim, change, evidence or Evidence(), timezone.now())
            except LeaseLost:
                log.info("result_came_too_late", delivery=str(claim.delivery_id), state=change.state.value)
            except DATABASE_AWAY as error:
                if asyncio.get_running_loop().time() < give_up_at:
                    await asyncio.sleep(RECORD_AGAIN_SECONDS)
                    continue
                log.error("result_not_recorded", delivery=str(claim.delivery_id), error=type(error).__name__)
            return

    async def _read(self, message_id: uuid.UUID) -> Payload:
        return await self._database(_payload_of, message_id)


def decided_already(claims: Sequence[Claim]) -> list[Change | None]:
    """For each claim what becomes of it without being sent, or None: one question for each organisation."""
    asked: dict[uuid.UUID, list[str]] = {}
    for claim in claims:
        if claim.route == Route.RELAY:
            asked.setdefault(claim.organisation_id, []).append(claim.recipient)
    decided = {
        organisation_id: suppressed_among(organisation_id, recipients)
        for organisation_id, recipients in asked.items()
    }
    return [decided.get(claim.organisation_id, {}).get(claim.recipient) for claim in claims]


def _payload_of(message_id: uuid.UUID) -> Payload:
    return Payload.of(raw_of(Message.objects.select_related("raw").get(pk=message_id)))
