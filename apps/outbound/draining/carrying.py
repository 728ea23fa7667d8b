"""One claim carried to its next state: asked about, read, sent, written down.

    prepare   may it be sent at all, and as which bytes? otherwise that is its result
    send      one conversation, or several relays in turn; the fence is passed in it
    record    the result, as often as it takes while PostgreSQL is away: nobody else knows it

Each of these but the conversation is asked together with whatever other claims ask at the same time (`group_commit`).
A crash anywhere leaves the claim to its lease: before the fence it is queued again, after it `uncertain`.
"""

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.utils import timezone

from apps.blobs.errors import BlobMissing, ObjectStoreUnavailable
from apps.organisations.database_threads import DATABASE_AWAY, DatabaseThreads
from apps.organisations.group_commit import GroupCommit
from apps.outbound.causes import Cause
from apps.outbound.delivery import (
    Claim,
    Evidence,
    Result,
    commit_all_to_send,
    deliver_here,
    record_results,
)
from apps.outbound.draining.bodies import Bodies
from apps.outbound.draining.policy import DrainPolicy
from apps.outbound.draining.preparations import Preparations
from apps.outbound.errors import LeaseLost
from apps.outbound.limits.gate import open_gate
from apps.outbound.models import DeliveryState, Relay, Route
from apps.outbound.relay import Attempt, RelayRoad
from apps.outbound.retry import Trouble
from apps.outbound.submission.senders_copy import put_senders_copy_away
from apps.outbound.transitions import Change, Held
from apps.outbound.verdict import Judge, accepted
from apps.outbound.waiting import Schedule, Wait
from apps.outbound.wire.payload import Payload

log = structlog.get_logger(__name__)

RECORD_AGAIN_SECONDS = 0.5


@dataclass(slots=True)
class Carried:
    """A claim being carried. `fenced` is true once the dot may have been sent."""

    claim: Claim
    fenced: bool = False
    task: "asyncio.Task[None] | None" = None


class Carrier:
    """Carries the claims of one drain, on its event loop. `closed` is told of destinations that take nothing now."""

    def __init__(
        self,
        database: DatabaseThreads,
        policy: DrainPolicy,
        closed: Callable[[Wait, str], None],
        road: RelayRoad | None = None,
    ) -> None:
        self._database = database
        self._policy = policy
        self._closed = closed
        self._road = road or RelayRoad(policy.relay, gate=open_gate(database))
        self._judge = Judge(policy.retry, random.SystemRandom())
        self._schedule = Schedule(random.SystemRandom().random)
        bodies = Bodies(bound_bytes=policy.bytes_in_flight, kept_bytes=policy.bytes_kept)
        batch, linger = policy.batch, policy.linger_seconds
        self._preparations = Preparations(database, bodies, most=batch)
        self._fences = GroupCommit[Held, None](self._fence_all, most=batch, linger_seconds=linger)
        self._results = GroupCommit[Result, None](self._record_all, most=batch, linger_seconds=linger)

    def use(self, relays: Sequence[Relay]) -> None:
        """Ask these relays from now on."""
        self._road.use(relays)

    async def close(self) -> None:
        await self._road.close()

    async def carry(self, carried: Carried) -> None:
        """Bring one claim to its next state. Whatever happens to it must not end the others."""
        try:
            await self._bring_on(carried)
        except Exception:
            log.exception("delivery_left_to_its_lease", delivery=str(carried.claim.delivery_id))

    async def _bring_on(self, carried: Carried) -> None:
        claim = carried.claim
        try:
            await self._prepare_and_send(carried)
        except LeaseLost:
            log.info("lease_lost", delivery=str(claim.delivery_id))
        except ObjectStoreUnavailable:
            await self._put_off(
                carried, Cause.STORE_UNAVAILABLE, "The message's bytes cannot be read: S3 does not answer."
            )
        except BlobMissing:
            reason = "The message's bytes are nowhere to be found."
            await self._record(carried, Change(DeliveryState.REJECTED, Cause.BYTES_MISSING, reason))
        except asyncio.CancelledError:
            if carried.fenced:
                raise
            await self._put_off(
                carried, Cause.WORKER_STOPPED, "Its worker was stopped before the message was complete."
            )
        except DATABASE_AWAY as error:
            log.warning("delivery_interrupted", delivery=str(claim.delivery_id), error=type(error).__name__)
            await self._put_off(
                carried, Cause.PLATFORM_FAULT, "The database did not answer before the message was complete."
            )
        except Exception:
            log.exception("delivery_failed_by_us", delivery=str(claim.delivery_id))
            await self._put_off(
                carried, Cause.PLATFORM_FAULT, "An unforeseen fault of ours; the log has the details."
            )

    async def _prepare_and_send(self, carried: Carried) -> None:
        claim = carried.claim
        attempt = None
        async with self._preparations.of(claim) as prepared:
            if isinstance(prepared, Payload) and claim.route == Route.RELAY:
                attempt = await self._attempt(carried, prepared)
        if attempt is not None:
            await self._record(carried, self._change_after(attempt, claim, timezone.now()), attempt.evidence)
        elif isinstance(prepared, Change):
            await self._record(carried, prepared)
            if prepared.state == DeliveryState.CANCELLED:
                await self._database(put_senders_copy_away, [claim.message_id])
        elif claim.route == Route.LOCAL:
            await self._database(deliver_here, claim, timezone.now())
        else:
            msg = "what goes over a relay is prepared with its bytes"
            raise AssertionError(msg)

    async def _attempt(self, carried: Carried, payload: Payload) -> Attempt:
        claim = carried.claim

        async def fence(relay_id: uuid.UUID) -> None:
            await self._fences.ask(claim.held(relay_id))
            carried.fenced = True

        return await self._road.attempt(claim, payload, fence)

    # what it came to

    def _change_after(self, attempt: Attempt, claim: Claim, now: datetime) -> Change:
        if attempt.waits is not None:
            return self._wait(attempt.waits, claim, now)
        if attempt.reply is not None:
            return accepted(attempt.reply, attempt.evidence.server)
        if attempt.error is None:
            msg = "an attempt ends with a reply, an error or a wait"
            raise AssertionError(msg)
        return self._judge.after(attempt.error, claim, now)

    def _wait(self, wait: Wait, claim: Claim, now: datetime) -> Change:
        """Deferred until its turn, as somebody who was never tried."""
        about = claim.destination if wait.is_of_destination else wait.key or wait.reason
        at = self._schedule.place(wait, about, now)
        if wait.is_of_destination:
            self._closed(wait, claim.destination)
        if at >= claim.expires_at:
            return Change(DeliveryState.EXPIRED, Cause.GAVE_UP, wait.reason, attempted=False)
        return Change(DeliveryState.DEFERRED, wait.cause, wait.reason, due_at=at, attempted=False)

    async def _put_off(self, carried: Carried, cause: Cause, reason: str) -> None:
        """Our own trouble, before any dot: the delivery is due again in a moment, and nothing counts against it."""
        if carried.fenced:
            # Nobody can tell; the lease lapses and the sweeper calls it `uncertain`.
            return
        change = self._judge.put_off(carried.claim, timezone.now(), Trouble.OURSELVES, cause, reason)
        await self._record(carried, change)

    async def _record(self, carried: Carried, change: Change, evidence: Evidence | None = None) -> None:
        """Write a result, as often as it takes while PostgreSQL is away: nobody else knows it."""
        claim = carried.claim
        result = Result(claim, change, evidence or Evidence())
        give_up_at = asyncio.get_running_loop().time() + self._policy.record_patience_seconds
        while True:
            try:
                await self._results.ask(result)
            except LeaseLost:
                log.info("result_came_too_late", delivery=str(claim.delivery_id), state=change.state.value)
            except DATABASE_AWAY as error:
                if asyncio.get_running_loop().time() < give_up_at:
                    await asyncio.sleep(RECORD_AGAIN_SECONDS)
                    continue
                log.error("result_not_recorded", delivery=str(claim.delivery_id), error=type(error).__name__)
            return

    # what is asked together

    async def _fence_all(self, held: list[Held]) -> Sequence[Exception | None]:
        return await self._database(commit_all_to_send, held)

    async def _record_all(self, results: list[Result]) -> Sequence[Exception | None]:
        return await self._database(record_results, results, timezone.now())
