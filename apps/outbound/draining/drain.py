"""Empties one lane in one process: claims in batches, hundreds of conversations in flight on one event loop.

A drain runs while there is something to do. It claims up to a batch whenever it has places free, carries each claim in
a task of its own, renews all leases together, and ends when nothing is in flight and nothing is due within a moment.
A wake-up during that makes it look again.

No destination gets all places (`places`), and when those that wait for a full one hide all others, the lane is walked
destination by destination (`transitions.taking_up`).

Told to stop, it claims no more and gives back what has not passed the fence; what has passed it gets a grace to
hear the server's answer, because without it the delivery is `uncertain`. Being killed is the same without the
manners.

PostgreSQL being away ends no conversation that is past the fence: its result is written as soon as it can be. What
could not be claimed or fenced is left to its lease.
"""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.db import transaction
from django.utils import timezone

from apps.organisations.database_threads import DATABASE_AWAY, DatabaseThreads
from apps.outbound.delivery import Claims, claim_within, keep_alive, next_due_at
from apps.outbound.draining.carrying import Carried, Carrier
from apps.outbound.draining.places import Places
from apps.outbound.draining.policy import DrainPolicy
from apps.outbound.models import Lane, Relay
from apps.outbound.relay import RelayRoad
from apps.outbound.relays.catalogue import known_relays
from apps.outbound.transitions import Room, put_off_destination
from apps.outbound.waiting import Wait

__all__ = ["Drain", "DrainPolicy"]

log = structlog.get_logger(__name__)

NOTHING = Claims([], hidden=False, walked_to="")
# A drain stays for what is due within this; for what comes later the sweeper wakes one.
STAY_SECONDS = 2.0
# Due, and yet nobody may take it: another worker is at it, or its destination has no place left.
# Longer after each look in vain.
LOOK_AGAIN_SECONDS = 0.1
LOOK_AGAIN_AT_LAST_SECONDS = 1.0
# Longer than this, and all that waits for a destination is put off at once instead of one claim after the other.
PUT_OFF_AFTER = timedelta(seconds=5)
PUT_OFF_BATCH = 2000


class Drain:
    """One lane's drain. Made and run on one event loop; `wake` and `stop` are called on it too."""

    def __init__(
        self, lane: Lane, policy: DrainPolicy | None = None, *, road: RelayRoad | None = None
    ) -> None:
        self._lane = lane
        self._policy = policy or DrainPolicy()
        self._database = DatabaseThreads(self._policy.database_threads)
        self._carrier = Carrier(self._database, self._policy, self._close_destination, road)
        self._places = Places(self._policy.in_flight)
        self._held: dict[uuid.UUID, Carried] = {}
        self._put_offs: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._stopping = False
        self._walked_to = ""
        self._looks_in_vain = 0

    def wake(self) -> None:
        """Something may be due: look again before ending."""
        self._woken.set()

    def stop(self) -> None:
        """Claim no more, give back what can be given back, and end within the grace."""
        self._stopping = True
        self._woken.set()
        for carried in self._held.values():
            if carried.task is not None and not carried.fenced:
                carried.task.cancel()
        asyncio.get_running_loop().call_later(self._policy.grace_seconds, self._cut_off)

    def _cut_off(self) -> None:
        for carried in self._held.values():
            if carried.task is not None:
                carried.task.cancel()

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
            await self._carrier.close()
            self._database.close()

    # claiming

    async def _carry_all(self, group: asyncio.TaskGroup) -> None:
        while not self._stopping:
            self._woken.clear()
            if self._places.free and await self._look(group):
                self._looks_in_vain = 0
                if len(self._held) >= self._policy.claims:
                    # A claim for a single place costs as much as one for a hundred: some may come free first.
                    await asyncio.sleep(self._policy.gather_seconds)
            elif not await self._worth_looking_again():
                return

    async def _look(self, group: asyncio.TaskGroup) -> bool:
        """Claim once; whether it is worth looking on at once."""
        claims = await self._claim(None)
        taken = self._take_on(group, claims)
        if not claims.hidden or not self._places.free:
            return taken > 0
        walked_from = self._walked_to
        claims = await self._claim(walked_from)
        self._walked_to = claims.walked_to
        taken += self._take_on(group, claims)
        return taken > 0 or walked_from != "" or self._walked_to != ""

    async def _claim(self, walk_from: str | None) -> Claims:
        room = self._places.room(self._policy.claims, timezone.now())
        try:
            relays, claims = await self._database(self._claim_now, room, walk_from)
        except DATABASE_AWAY as error:
            log.warning("nothing_claimed", lane=self._lane.value, error=type(error).__name__)
            return NOTHING
        if claims.claims:
            self._carrier.use(relays)
        return claims

    def _claim_now(self, room: Room, walk_from: str | None) -> tuple[Sequence[Relay], Claims]:
        claims = claim_within(self._lane, room, walk_from=walk_from, policy=self._policy.lease)
        return (known_relays() if claims.claims else ()), claims

    async def _worth_looking_again(self) -> bool:
        """Wait for a wake-up, a free place or what is due soon; false when none of that is to come."""
        seconds = await self._seconds_until_due() if self._places.free and not self._woken.is_set() else None
        if not self._held and seconds is None:
            return self._woken.is_set()
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        return True

    async def _seconds_until_due(self) -> float | None:
        """None when nothing is due soon enough to stay for it."""
        try:
            due_at = await self._database(next_due_at, self._lane)
        except DATABASE_AWAY:
            return None
        if due_at is None:
            return None
        seconds = (due_at - timezone.now()).total_seconds()
        if seconds > STAY_SECONDS:
            return None
        if seconds > 0:
            return max(seconds, 0.001)
        self._looks_in_vain += 1
        return min(LOOK_AGAIN_SECONDS * 2.0 ** min(self._looks_in_vain, 8), LOOK_AGAIN_AT_LAST_SECONDS)

    def _take_on(self, group: asyncio.TaskGroup, claims: Claims) -> int:
        for claim in claims.claims:
            carried = self._held[claim.token] = Carried(claim)
            self._places.take(claim.token, claim.destination)
            carried.task = group.create_task(self._carrier.carry(carried))
            carried.task.add_done_callback(partial(self._put_down, carried))
            if self._stopping:
                carried.task.cancel()
        return len(claims.claims)

    def _put_down(self, carried: Carried, _task: "asyncio.Task[None]") -> None:
        del self._held[carried.claim.token]
        if self._places.give_back(carried.claim.token) or not self._held:
            self._woken.set()

    async def _until_empty_handed(self) -> None:
        tasks = [carried.task for carried in self._held.values() if carried.task is not None]
        tasks += self._put_offs.values()
        if tasks:
            await asyncio.wait(tasks)

    # holding what is claimed

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._policy.lease.renew_every.total_seconds())
            if not self._held:
                continue
            held = list(self._held)
            try:
                kept = await self._database(keep_alive, held, policy=self._policy.lease)
            except DATABASE_AWAY as error:
                log.warning("leases_not_renewed", lane=self._lane.value, error=type(error).__name__)
                continue
            for token in set(held) - kept:
                # The fence would find out; a long upload need not go on until then.
                carried = self._held.get(token)
                if carried is not None and carried.task is not None and not carried.fenced:
                    carried.task.cancel()

    # destinations that take nothing now

    def _close_destination(self, wait: Wait, destination: str) -> None:
        """Claim nothing for it until then, and put off all that waits for it when that is long."""
        self._places.close(destination, wait.until)
        is_long = wait.until - timezone.now() > PUT_OFF_AFTER
        if is_long and destination not in self._put_offs and not self._stopping:
            task = asyncio.get_running_loop().create_task(self._put_off(wait, destination))
            self._put_offs[destination] = task
            task.add_done_callback(lambda _task: self._put_offs.pop(destination))

    async def _put_off(self, wait: Wait, destination: str) -> None:
        try:
            while not self._stopping:
                moved = await self._database(_put_off_some, wait, destination, timezone.now())
                if moved < PUT_OFF_BATCH:
                    return
        except DATABASE_AWAY as error:
            log.warning("destination_not_put_off", error=type(error).__name__)
        except Exception:
            log.exception("destination_not_put_off")


def _put_off_some(wait: Wait, destination: str, now: datetime) -> int:
    spread = min(timedelta(minutes=5), max(timedelta(seconds=5), (wait.until - now) / 2))
    with transaction.atomic():
        return put_off_destination(
            destination, wait.until, wait.cause, wait.reason, spread=spread, limit=PUT_OFF_BATCH
        )
