"""What a drain's claims wait for: prepared once for all recipients, bounded in bytes, and nobody held up by another."""

import asyncio
import threading
import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.outbound.delivery import Claim
from apps.outbound.draining import preparations
from apps.outbound.draining.bodies import Bodies
from apps.outbound.draining.preparations import Preparations, Prepared
from apps.outbound.draining.preparing import SMALL_BYTES, Answer, Instead
from apps.outbound.models import Route
from apps.outbound.wire.payload import Payload

LARGE = SMALL_BYTES + 1


def claim(message_id: uuid.UUID | None = None, size_bytes: int = 10) -> Claim:
    return Claim(
        delivery_id=uuid.uuid4(),
        token=uuid.uuid4(),
        number=1,
        message_id=message_id or uuid.uuid4(),
        organisation_id=uuid.uuid4(),
        route=Route.RELAY,
        sender="support@house.test",
        recipient="elena@x.example",
        size_bytes=size_bytes,
        setbacks=0,
        expires_at=timezone.now() + timedelta(days=1),
    )


def payload(message_id: uuid.UUID) -> Payload:
    return Payload.of(message_id.bytes)


class Desk:
    """Prepares in place of the database threads, when it is let, and counts. Large messages go apart."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[list[Claim]] = []
        self.open = asyncio.Event()
        self.fails: list[Exception] = []
        self.apart: list[uuid.UUID] = []
        self.apart_open = threading.Event()
        monkeypatch.setattr(preparations, "run_in_daemon_thread", self.run_apart)

    def preparations(self, bound_bytes: int = 1000, kept_bytes: int = 0) -> Preparations:
        bodies = Bodies(bound_bytes=bound_bytes, kept_bytes=kept_bytes)
        return Preparations(self, bodies, most=100)  # type: ignore[arg-type]

    async def __call__(
        self, _work: object, claims: Sequence[Claim], in_hand: Collection[uuid.UUID], _now: datetime
    ) -> list[Answer]:
        self.batches.append(list(claims))
        await self.open.wait()
        if self.fails:
            raise self.fails.pop()
        return [self._answer(one, in_hand) for one in claims]

    @staticmethod
    def _answer(one: Claim, in_hand: Collection[uuid.UUID]) -> Answer:
        if one.message_id in in_hand:
            return Instead.GO
        return Instead.APART if one.size_bytes > SMALL_BYTES else payload(one.message_id)

    async def run_apart(
        self, _work: object, claims: Sequence[Claim], *_more: Any, apart: bool
    ) -> list[Answer]:
        assert apart
        self.apart.append(claims[0].message_id)
        await asyncio.to_thread(self.apart_open.wait)
        return [payload(one.message_id) for one in claims]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def use(preparing: Preparations, one: Claim) -> Prepared:
    async with preparing.of(one) as prepared:
        return prepared


async def test_recipients_of_one_message_share_one_preparation(desk: Desk) -> None:
    preparing, message = desk.preparations(), uuid.uuid4()
    users = [asyncio.create_task(use(preparing, claim(message))) for _ in range(5)]
    await settled()
    desk.open.set()
    assert await asyncio.gather(*users) == [payload(message)] * 5
    assert [len(batch) for batch in desk.batches] == [5]


async def test_who_comes_while_it_is_made_or_used_gets_what_is_in_hand(desk: Desk) -> None:
    preparing, message = desk.preparations(), uuid.uuid4()
    first = asyncio.create_task(use(preparing, claim(message)))
    await settled()
    late = asyncio.create_task(use(preparing, claim(message)))
    await settled()
    assert len(desk.batches) == 1
    desk.open.set()
    assert await first == await late == payload(message)


async def test_small_ones_are_kept_for_the_next_batch(desk: Desk) -> None:
    preparing, message = desk.preparations(kept_bytes=100), uuid.uuid4()
    desk.open.set()
    first = await use(preparing, claim(message))
    assert await use(preparing, claim(message)) is first


async def test_messages_wait_for_room_and_a_too_large_one_goes_alone(desk: Desk) -> None:
    preparing = desk.preparations(bound_bytes=100)
    desk.open.set()
    inside: list[int] = []
    leave = {size: asyncio.Event() for size in (60, 50, 500)}

    async def stay(size: int) -> None:
        async with preparing.of(claim(size_bytes=size)):
            inside.append(size)
            await leave[size].wait()

    users = [asyncio.create_task(stay(size)) for size in (60, 50, 500)]
    await settled()
    assert inside == [60]
    leave[60].set()
    await settled()
    assert inside == [60, 50]
    leave[50].set()
    await settled()
    assert inside == [60, 50, 500]
    leave[500].set()
    await asyncio.gather(*users)


async def test_a_claim_that_is_stopped_takes_nothing_from_the_others(desk: Desk) -> None:
    preparing, message = desk.preparations(), uuid.uuid4()
    leaver, stayer = (asyncio.create_task(use(preparing, claim(message))) for _ in range(2))
    await settled()
    leaver.cancel()
    await settled()
    desk.open.set()
    assert await stayer == payload(message)
    assert leaver.cancelled()


async def test_a_message_all_of_whose_claims_were_stopped_can_be_asked_for_again(desk: Desk) -> None:
    preparing, message = desk.preparations(bound_bytes=10), uuid.uuid4()
    hurdle = asyncio.create_task(use(preparing, claim()))
    await settled()
    stopped = asyncio.create_task(use(preparing, claim(message)))
    await settled()
    stopped.cancel()
    desk.open.set()
    await hurdle
    await settled()
    assert await use(preparing, claim(message)) == payload(message)
    assert stopped.cancelled()


async def test_a_failed_preparation_fails_all_and_the_next_one_prepares_again(desk: Desk) -> None:
    preparing, message = desk.preparations(), uuid.uuid4()
    desk.fails.append(OSError())
    desk.open.set()
    failed = await asyncio.gather(
        use(preparing, claim(message)), use(preparing, claim(message)), return_exceptions=True
    )
    assert [type(one) for one in failed] == [OSError, OSError]
    assert await use(preparing, claim(message)) == payload(message)


async def test_nothing_is_kept_of_what_was_given_back(desk: Desk) -> None:
    preparing = desk.preparations(bound_bytes=10)
    desk.open.set()
    for _ in range(50):
        async with asyncio.timeout(5), preparing.of(claim()):
            assert len(preparing._bodies._lent) == 1
    assert preparing._bodies._lent == {}
    assert preparing._in_work == set()
    assert preparing._asked == {}


async def test_a_large_message_that_is_looked_at_holds_up_no_small_one(desk: Desk) -> None:
    preparing, message = desk.preparations(bound_bytes=10), uuid.uuid4()
    desk.open.set()
    large = [asyncio.create_task(use(preparing, claim(message, LARGE))) for _ in range(3)]
    await settled()
    late = asyncio.create_task(use(preparing, claim(message, LARGE)))
    small = claim()
    assert await use(preparing, small) == payload(small.message_id)
    desk.apart_open.set()
    assert await asyncio.gather(*large, late) == [payload(message)] * 4
    assert desk.apart[0] == message


async def test_a_large_message_waits_for_room_once_it_is_prepared(desk: Desk) -> None:
    preparing = desk.preparations(bound_bytes=LARGE)
    desk.open.set()
    desk.apart_open.set()
    async with preparing.of(claim()):
        large = asyncio.create_task(use(preparing, claim(size_bytes=LARGE)))
        await asyncio.sleep(0.05)
        assert desk.apart and not large.done()
    assert isinstance(await large, Payload)
    assert preparing._bodies._lent == {}


async def test_unforeseen_faults_of_a_thread_apart_are_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def explode(*_all: object, **_named: object) -> list[Answer]:
        raise RecursionError

    monkeypatch.setattr(preparations, "run_in_daemon_thread", explode)
    preparing = desk.preparations()
    desk.open.set()
    with pytest.raises(RecursionError):
        await use(preparing, claim(size_bytes=LARGE))
    assert preparing._in_work == set()
