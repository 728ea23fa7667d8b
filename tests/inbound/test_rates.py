"""How often one address may come, counted over all listeners."""

import asyncio
from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from django.conf import settings
from redis import Redis

from apps.inbound.limits import Limits
from apps.inbound.rates import LINES, Counted, Rates, connect
from tests.inbound.conftest import Listen
from tests.inbound.wire import RawClient
from tests.mail import raw_mail
from tests.people import House
from tests.servers import Servers

LIMITS = Limits(max_connections_per_minute=3, max_messages_per_minute=5)
PEER = "192.0.2.7"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_020.0  # a minute has just begun

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(autouse=True)
def _forget_counts() -> Iterator[None]:
    yield
    redis = Redis.from_url(settings.REDIS_URL)
    for key in redis.scan_iter("smtp:rate:*"):
        redis.delete(key)


def test_more_than_so_many_in_a_minute_are_told_to_come_again() -> None:
    async def count() -> None:
        clock = Clock()
        rates = Rates(LIMITS, now=clock)
        for _ in range(3):
            assert await rates.refusal(Counted.CONNECTIONS, PEER) == ""
        assert (await rates.refusal(Counted.CONNECTIONS, PEER)).startswith("421 4.7.0")
        assert await rates.refusal(Counted.CONNECTIONS, "192.0.2.8") == ""
        assert await rates.refusal(Counted.MESSAGES, PEER) == ""
        clock.seconds += 60  # all four still lie within the last minute
        assert (await rates.refusal(Counted.CONNECTIONS, PEER)).startswith("421 4.7.0")
        clock.seconds += 45
        assert await rates.refusal(Counted.CONNECTIONS, PEER) == ""
        clock.seconds += 600
        assert await rates.refusal(Counted.CONNECTIONS, PEER) == ""

    asyncio.run(count())


def test_listeners_on_several_machines_count_together() -> None:
    async def count() -> list[str]:
        clock = Clock()
        several = [Rates(LIMITS, connect(settings.REDIS_URL), now=clock) for _ in range(4)]
        replies = [await rates.refusal(Counted.CONNECTIONS, PEER) for rates in several]
        for rates in several:
            await rates.close()
        return [reply[:3] for reply in replies]

    assert asyncio.run(count()) == ["", "", "", "421"]


def test_with_redis_away_each_counts_for_itself_and_nobody_waits(servers: Servers) -> None:
    servers.valkey.stop()

    async def count() -> list[str]:
        rates = Rates(LIMITS, connect(settings.REDIS_URL), now=Clock())
        async with asyncio.timeout(5):
            replies = [await rates.refusal(Counted.CONNECTIONS, PEER) for _ in range(4)]
        await rates.close()
        return [reply[:3] for reply in replies]

    assert asyncio.run(count()) == ["", "", "", "421"]


def test_a_burst_of_senders_takes_a_few_lines_to_redis() -> None:
    async def burst() -> int:
        rates = Rates(LIMITS, connect(f"{settings.REDIS_URL}?client_name=burst"), now=Clock())
        replies = await asyncio.gather(
            *(rates.refusal(Counted.CONNECTIONS, f"192.0.2.{n}") for n in range(200))
        )
        assert set(replies) == {""}
        with Redis.from_url(settings.REDIS_URL) as looking:
            lines = [client for client in looking.client_list() if client["name"] == "burst"]
        await rates.close()
        return len(lines)

    assert 0 < asyncio.run(burst()) <= LINES


def test_one_ipv6_network_is_one_sender_and_trusted_ones_are_not_counted() -> None:
    async def count() -> None:
        rates = Rates(LIMITS, now=Clock())
        for n in range(3):
            assert await rates.refusal(Counted.CONNECTIONS, f"2001:db8::{n}") == ""
        assert await rates.refusal(Counted.CONNECTIONS, "2001:db8::9")
        assert await rates.refusal(Counted.CONNECTIONS, "2001:db8:0:1::9") == ""
        trusting = Limits(max_connections_per_minute=1, trusted_networks=(ip_network("192.0.2.0/24"),))
        rates = Rates(trusting, now=Clock())
        for _ in range(9):
            assert await rates.refusal(Counted.CONNECTIONS, PEER) == ""

    asyncio.run(count())


@pytest.mark.django_db(transaction=True)
def test_a_client_that_comes_too_often_is_told_in_smtp(listen: Listen, house: House) -> None:
    port = listen(max_connections_per_minute=2, max_messages_per_minute=2).port
    with RawClient(port) as client:
        for n in range(2):
            assert client.sends(raw_mail(message_id=f"{n}@x.example"), "support@house.test")[:3] == "250"
        assert client.asks(b"MAIL FROM:<elena@customer.example>").startswith("450 4.7.1")
        assert client.asks(b"NOOP").startswith("250")
    with RawClient(port):
        pass
    last = RawClient(port, greet=False)
    assert last.greeting.startswith("421 4.7.0")
    assert last.hears() == ""
