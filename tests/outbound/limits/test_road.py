"""Limits on the whole road in simulated time: real conversations, with providers that count for themselves."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from apps.organisations.database_threads import DatabaseThreads
from apps.organisations.models import new_id
from apps.outbound.delivery import Claim
from apps.outbound.limits.gate import LimitGate
from apps.outbound.limits.limiter import Limiter
from apps.outbound.limits.script import ScriptCalls
from apps.outbound.models import LimitScope, Relay, Route, SendingLimit
from apps.outbound.relay import RelayPolicy, RelayRoad
from apps.outbound.relays.environment import reconcile_relays
from apps.outbound.waiting import Schedule
from apps.outbound.wire.payload import Payload
from tests.outbound.limits.limiting import PROVIDERS, START_MS, connect, most_in_any_window, new_prefix
from tests.outbound.simulated import JumpingLoop
from tests.remote.providers import LimitedProvider

pytestmark = pytest.mark.django_db(transaction=True)

MAILS = 1000
PAYLOAD = Payload.of(b"Subject: hello\r\n\r\nHello.\r\n")


@pytest.fixture
def loop() -> JumpingLoop:
    return JumpingLoop()


@pytest.fixture
def providers(loop: JumpingLoop, transactional_db: None) -> Iterator[list[LimitedProvider]]:
    """Two, each with thirty messages a minute and three connections, which we were told of."""
    with ExitStack() as running:
        made = [
            LimitedProvider(messages=30, window_seconds=60, connections=3, clock=loop.time)
            for _provider in "ab"
        ]
        for provider in made:
            running.enter_context(provider)
        reconcile_relays([f"{provider.url}?tls=none" for provider in made])
        now = timezone.now()
        SendingLimit.objects.create(
            scope=LimitScope.RELAY, subject="*", per_minute=30, connections=3, created_at=now, updated_at=now
        )
        yield made


def claim(n: int, organisation_id: uuid.UUID) -> Claim:
    return Claim(
        delivery_id=new_id(),
        token=new_id(),
        number=1,
        message_id=new_id(),
        organisation_id=organisation_id,
        route=Route.RELAY,
        sender="support@house.test",
        recipient=f"c{n}@d{n % 7}.example",
        destination=f"d{n % 7}.example",
        size_bytes=PAYLOAD.size_bytes,
        setbacks=0,
        expires_at=timezone.now() + timedelta(days=5),
    )


class Sending:
    """What a drain does with its claims, without rows: each is tried, waits until its moment, and is tried again."""

    def __init__(self, loop: JumpingLoop) -> None:
        self._loop = loop
        self._began = loop.time()
        self._database = DatabaseThreads(2)
        calls = ScriptCalls(connect(), prefix=new_prefix(), settle_ms=0, clock=self.clock_ms)
        limiter = Limiter(
            calls, self._database, processes=1, providers=PROVIDERS, clock_ms=lambda: float(self.clock_ms())
        )
        self._road = RelayRoad(RelayPolicy(), gate=LimitGate(limiter, self._database))
        self._road.use(list(Relay.objects.order_by("priority")))
        self._schedule = Schedule(lambda: 0.5)
        self._calls, self._limiter = calls, limiter
        self._asleep = self._left = 0
        loop.all_wait = self._all_wait

    def clock_ms(self) -> int:
        return START_MS + int((self._loop.time() - self._began) * 1000)

    def _all_wait(self) -> bool:
        """For their moment, or within the road for a moment that is near; and Redis has answered."""
        calling = self._calls._calling is not None and not self._calls._calling.done()
        lingering = sum(map(len, self._limiter._waiting.values()))
        return not calling and self._asleep + lingering == self._left

    async def send_all(self, claims: list[Claim]) -> float:
        """How many minutes it took."""
        self._left = len(claims)
        await asyncio.gather(*map(self._send, claims))
        minutes = (self.clock_ms() - START_MS) / 60_000
        await self._road.close()
        self._database.close()
        return minutes

    async def _send(self, one: Claim) -> None:
        while True:
            attempt = await self._road.attempt(one, PAYLOAD, _let_pass)
            if attempt.waits is None:
                assert attempt.reply is not None, attempt.error
                self._left -= 1
                return
            now = datetime.fromtimestamp(self.clock_ms() / 1000, UTC)
            at = self._schedule.place(attempt.waits, attempt.waits.key, now)
            self._asleep += 1
            await asyncio.sleep((at - now).total_seconds())
            self._asleep -= 1


async def _let_pass(_relay_id: uuid.UUID) -> None:
    """A fence that is always open."""


def test_a_thousand_mails_over_two_relays_of_thirty_a_minute_take_both_limits_and_exceed_neither(
    loop: JumpingLoop, providers: list[LimitedProvider]
) -> None:
    organisation_id = new_id()
    sending = Sending(loop)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        minutes = runner.run(sending.send_all([claim(n, organisation_id) for n in range(MAILS)]))
    assert [provider.trespasses for provider in providers] == [{}, {}]
    assert [provider.most_connections for provider in providers] == [3, 3]
    assert sum(len(provider.messages) for provider in providers) == MAILS
    for provider in providers:
        assert most_in_any_window(provider.taken_at, 60) == 30
        assert set(provider.taken_by_recipient.values()) == {1}
    # A thousand at sixty a minute: 16⅔ minutes. Over one relay it would be twice that.
    assert 15.6 < minutes < 17.5
