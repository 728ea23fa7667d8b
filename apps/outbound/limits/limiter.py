"""Whether a message may be sent now: exact over all workers, never more than allowed, and as fast as allowed.

    admit      all that the message counts for at once (relay, destination, sender, organisation), or a Wait
    release    it has ended: it counts from now on, and its place is free
    feedback   the server answered with a limit of its own: pause and slow down

Limits are counted in Redis by one atomic script (`script.lua` says how, and why no window ever holds more). Counts that
may be missing something are rebuilt from the attempts in PostgreSQL before anything is granted: after a flush, after an
outage, and when rules changed. After the first two nothing is granted for some seconds more, in which every worker
names what it has in flight. While Redis is away each process keeps to its share (`outage`).

A message that meets no limit costs nothing: what has neither bounds nor a pace is never asked for. Which things have a
pace is looked up once a second.

What a crash leaves: a grant that nobody gives back lapses with its lease after half a minute, and counts as sent.

Limits: a process that stops for longer than the lease and then goes on sends messages that were counted as sent when
their lease lapsed, up to that much earlier than they were. Redis must not evict (`noeviction`): a count that quietly
vanishes is not missed.
"""

import asyncio
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, Protocol, TypeVar

import structlog
from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from apps.outbound.causes import Cause
from apps.outbound.errors import RelayRefused
from apps.outbound.limits.bounds import Demand, Demands, Granted
from apps.outbound.limits.history import accepted_lately, recall
from apps.outbound.limits.outage import Outage
from apps.outbound.limits.pacing import DEFAULT_PACE_POLICY, PacePolicy
from apps.outbound.limits.providers import ProviderLimit, Providers, known_providers
from apps.outbound.limits.rules import Named, relay_demand, relay_destination_demand
from apps.outbound.limits.script import RENEW_MS, SETTLE_MS, RedisAway, ScriptCalls
from apps.outbound.limits.words import BEING_COUNTED, clock, refusal
from apps.outbound.waiting import Wait

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

LOOK_FOR_PACES_SECONDS = 1.0
TRY_REDIS_AGAIN_SECONDS = 1.0
REBUILDS = 3
AGAIN_MS = 1000
_OF_PROVIDERS = frozenset({"pause", "pace", "lines"})
# Kept nowhere, and given back to nobody.
_WITHOUT_LIMITS = Granted(uuid.UUID(int=0))


class Database(Protocol):
    """Runs blocking work in a thread with a database connection, as `DatabaseThreads` does."""

    async def __call__(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...


class Limiter:
    """One process's way to the shared limits. Lives on one event loop; close it there."""

    def __init__(
        self,
        calls: ScriptCalls,
        database: Database,
        *,
        processes: int,
        policy: PacePolicy = DEFAULT_PACE_POLICY,
        providers: Providers | None = None,
        clock_ms: Callable[[], float] | None = None,
    ) -> None:
        self._calls = calls
        self._database = database
        self._processes = processes
        self._policy = policy
        self._providers = providers or known_providers()
        self._clock_ms = clock_ms or (lambda: time.time() * 1000)
        self._grants: dict[uuid.UUID, Granted] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._paced: frozenset[str] = frozenset()
        self.look_for_paces_seconds = LOOK_FOR_PACES_SECONDS
        self._looked_for_paces_at = float("-inf")
        self._pauses: dict[str, tuple[float, str]] = {}
        self._outage: Outage | None = None
        self._reading = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._waiting: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)
        self._try_redis_at = float("-inf")

    # what callers do

    async def admit(self, demands: Demands, *, patience_seconds: float = 0) -> Granted | Wait:
        """Granted when nothing stands in the way; otherwise until when, and what.

        A wait that ends within `patience_seconds` is waited for here. Waiting counts for nothing and costs no attempt.
        Raises what the database raises, where counts have to be rebuilt and it is away.
        """
        patient_until = time.monotonic() + patience_seconds
        while True:
            answer = await self._admit_now(demands)
            if isinstance(answer, Granted):
                return answer
            if not await self.linger(answer, patience_seconds=patient_until - time.monotonic()):
                return answer

    async def linger(self, wait: Wait, *, patience_seconds: float) -> bool:
        """Wait for a limit right here, when that is short: until its time has come, or something of its is given back.

        False, at once, where it would take longer than `patience_seconds`.
        """
        seconds = wait.until.timestamp() - self._clock_ms() / 1000
        if seconds > patience_seconds:
            return False
        given_back: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[wait.key]
        waiting.append(given_back)
        try:
            await asyncio.wait([given_back], timeout=max(0.001, seconds))
        finally:
            if given_back in waiting:
                waiting.remove(given_back)
        return True

    async def release(self, granted: Granted, *, used: bool = True) -> None:
        """Give a grant back. `used` is whether a message was begun with it: then it counts from now on."""
        if self._grants.pop(granted.id, None) is None:
            return
        try:
            await self._release(granted, used=used)
        finally:
            self._wake_one_for_each(granted)

    async def _release(self, granted: Granted, *, used: bool) -> None:
        if self._outage is not None:
            self._outage.release(granted, self._clock_ms())
            return
        try:
            await self._ask(_step("release", granted, used=used))
        except RedisAway:
            log.info("grant_left_to_its_lease")

    def _wake_one_for_each(self, granted: Granted) -> None:
        for part in granted.parts:
            if waiting := self._waiting.get(part.key):
                waiting.popleft().set_result(None)

    async def renew(self, granted: Granted) -> None:
        """It goes on. Done for every grant by itself; for whoever keeps time differently."""
        await self._ask(_step("renew", granted))

    async def feedback(
        self, relay: Named, destination: str, error: RelayRefused, *, direct: bool = False
    ) -> ProviderLimit | None:
        """Learn from a refusal: the provider's limit it tells of, if any. What the whole relay or its way to the
        destination should slow down for is slowed down, here and in every other worker.
        """
        limit = self._providers.recognise(error.code, error.enhanced, error.public, now=self._now())
        if limit is None or not limit.holds_up_others:
            return limit
        of_destination = direct or limit.is_of_destination
        demand = relay_destination_demand(relay, destination) if of_destination else relay_demand(relay)
        await self._slow_down(demand, relay, destination if of_destination else "", limit)
        return limit

    async def close(self) -> None:
        """Give back what is left, and hang up."""
        for granted in list(self._grants.values()):
            await self.release(granted)
        if self._renewing is not None:
            self._renewing.cancel()
        await self._calls.close()

    # admitting

    async def _admit_now(self, demands: Demands) -> Granted | Wait:
        parts = await self._that_matter(demands.parts)
        if not parts:
            return _WITHOUT_LIMITS
        granted = Granted(uuid.uuid4(), parts)
        version = demands.version if demands.needs_counts else -1
        try:
            for _rebuild in range(REBUILDS):
                answer = await self._ask_to_admit(granted, version)
                if "rebuild" not in answer:
                    return self._read(answer, granted)
                await self._rebuild(answer["rebuild"], version)
        except RedisAway:
            return await self._admit_by_share(granted)
        return _until_counted(self._clock_ms() + AGAIN_MS)

    async def _that_matter(self, parts: tuple[Demand, ...]) -> tuple[Demand, ...]:
        if self._paces_are_old():
            async with self._looking:
                if self._paces_are_old():
                    await self._look_for_paces()
        return tuple(
            part for part in parts if part.bounds.paces or part.key in self._paced or part.key in self._pauses
        )

    def _paces_are_old(self) -> bool:
        return time.monotonic() - self._looked_for_paces_at > self.look_for_paces_seconds

    async def _look_for_paces(self) -> None:
        now_ms = self._clock_ms()
        self._pauses = {key: one for key, one in self._pauses.items() if one[0] > now_ms}
        try:
            self._paced = frozenset((await self._ask({"op": "paced"}))["keys"])
        except RedisAway:
            log.debug("paces_not_looked_up")
        self._looked_for_paces_at = time.monotonic()

    async def _ask_to_admit(self, granted: Granted, version: int) -> dict[str, Any]:
        if time.monotonic() < self._try_redis_at:
            raise RedisAway
        await self._end_outage()
        asked = self._calls.begin(_step("admit", granted, version=version))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            # Whoever asked is gone; a place granted to nobody is given back.
            asked.add_done_callback(lambda answer: self._give_back_unseen(answer, granted))
            raise
        except RedisAway:
            self._begin_outage()
            raise

    def _read(self, answer: dict[str, Any], granted: Granted) -> Granted | Wait:
        if answer.get("granted"):
            self._keep(granted)
            return granted
        if answer["why"] == "building":
            return _until_counted(answer["wait"])
        demand: Demand = granted.parts[answer["demand"]]
        if answer["why"] in _OF_PROVIDERS:
            return demand.wait_for_provider(answer["wait"], refusal(demand, answer), _gap(answer))
        return demand.wait(answer["wait"], refusal(demand, answer), _gap(answer))

    async def _rebuild(self, token: str, version: int) -> None:
        try:
            history = await self._database(recall)
        except BaseException:
            await self._ask({"op": "forget"})  # the next one may try at once
            raise
        logs = [[one.key, one.length_ms, one.entries] for one in history.logs]
        version = max(version, history.version)
        await self._ask({"op": "install", "id": token, "version": version, "logs": logs})
        log.info("limits_rebuilt", windows=len(logs))

    # grants are kept alive

    def _keep(self, granted: Granted) -> None:
        self._grants[granted.id] = granted
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew_grants())

    async def _renew_grants(self) -> None:
        while self._grants:
            await asyncio.sleep(RENEW_MS / 1000)
            if self._outage is None:
                try:
                    await asyncio.gather(*map(self.renew, list(self._grants.values())))
                except RedisAway:
                    log.warning("grants_not_renewed")

    def _give_back_unseen(self, answer: "asyncio.Future[dict[str, Any]]", granted: Granted) -> None:
        if not answer.cancelled() and answer.exception() is None and answer.result().get("granted"):
            self._calls.begin(_step("release", granted, used=False))

    # a provider's limit

    async def _slow_down(self, demand: Demand, relay: Named, destination: str, limit: ProviderLimit) -> None:
        now_ms, pause_ms = self._clock_ms(), limit.wait.total_seconds() * 1000
        known_until, _because = self._pauses.get(demand.key, (0.0, ""))
        if known_until > now_ms and not (limit.stated and now_ms + pause_ms > known_until):
            return
        self._pauses[demand.key] = (now_ms + pause_ms, limit.because)
        self._paced |= {demand.key}
        flying = sum(demand.key in {part.key for part in one.parts} for one in self._grants.values())
        over = self._policy.measured_over
        step = {
            "op": "feedback",
            "k": demand.key,
            "pause": round(pause_ms),
            "stated": limit.stated,
            "slower": limit.slower,
            "measured": await self._database(accepted_lately, relay.pk, destination, over),
            "flying": flying,
            "because": limit.because,
            "policy": self._policy.as_json(),
        }
        try:
            answer = await self._ask(step)
            self._pauses[demand.key] = (answer["paused_until"], limit.because)
        except RedisAway:
            log.warning("pace_not_shared", key=demand.key)
        log.info("provider_limit_met", key=demand.key, provider=limit.provider, kind=limit.kind.value)

    # Redis away

    async def _ask(self, step: dict[str, Any]) -> dict[str, Any]:
        if time.monotonic() < self._try_redis_at:
            raise RedisAway
        try:
            return await self._calls.ask(step)
        except RedisAway:
            self._begin_outage()
            raise

    def _begin_outage(self) -> None:
        self._try_redis_at = time.monotonic() + TRY_REDIS_AGAIN_SECONDS
        if self._outage is None:
            self._outage = Outage(self._processes)
            log.warning("limits_kept_by_share", processes=self._processes)

    async def _end_outage(self) -> None:
        """Before Redis decides again: what was granted without it must be counted, so its counts are made anew."""
        outage = self._outage
        if outage is None:
            return
        if outage.has_granted:
            await self._ask({"op": "forget"})
        self._outage = None
        log.info("limits_shared_again")

    async def _admit_by_share(self, granted: Granted) -> Granted | Wait:
        outage = self._outage
        if outage is None:
            raise AssertionError("without an outage Redis decides")
        now_ms = self._clock_ms()
        for demand in granted.parts:
            until, because = self._pauses.get(demand.key, (0.0, ""))
            if until > now_ms:
                reason = f"{demand.name} is paused until {clock(until)}: {because}."
                return demand.wait_for_provider(until, reason)
        async with self._reading:
            if not outage.has_record:
                outage.read_record(await self._database(recall), now_ms)
        answer = outage.admit(granted, now_ms)
        if isinstance(answer, Granted):
            self._keep(granted)
        return answer

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock_ms() / 1000, UTC)


def open_limiter(database: Database, *, settle_ms: int = SETTLE_MS) -> Limiter:
    """The limiter of this installation, for the running event loop. Nothing is connected until it is asked."""
    redis: Redis = Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=2,
        socket_connect_timeout=2,
        # A connection that died while it was idle is no outage; anything else is, and waiting longer mends none.
        retry=Retry(NoBackoff(), 1),
    )
    calls = ScriptCalls(redis, settle_ms=settle_ms)
    return Limiter(calls, database, processes=settings.SENDING_PROCESSES)


def _until_counted(at_ms: float) -> Wait:
    """No limit stands in the way yet, but nobody knows what they allow."""
    return Wait(datetime.fromtimestamp(at_ms / 1000, UTC), Cause.LIMITS_UNKNOWN, BEING_COUNTED, key="counts")


def _gap(answer: dict[str, Any]) -> timedelta | None:
    """How far apart a limit lets messages be, on average."""
    match answer["why"]:
        case "window":
            return timedelta(milliseconds=answer["window"] / answer["limit"])
        case "gap":
            return timedelta(milliseconds=answer["limit"])
        case "pace":
            return timedelta(minutes=1 / answer["limit"])
        case _:
            return None


def _step(op: str, granted: Granted, **more: Any) -> dict[str, Any]:
    return {
        "op": op,
        "id": str(granted.id),
        "demands": [part.as_json() for part in granted.parts],
        **more,
    }
