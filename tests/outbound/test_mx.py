"""A domain's mail servers, found over a real name server on loopback."""

import random
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from apps.names.breaker import BreakerPolicy
from apps.names.resolver import MxRecord, NamesUnavailable, Resolver, ResolverPolicy
from apps.outbound.errors import RelayRefused, RelayUnavailable
from apps.outbound.relays.mx import MailServer, mail_servers, ordered
from tests.remote.names import NameServer

QUICK = ResolverPolicy(
    question=0.4, one_try=0.2, silence=60, breaker=BreakerPolicy(trips_after=3, first_rest=60)
)
CHANCE = random.SystemRandom()


@pytest.fixture
def names() -> Iterator[NameServer]:
    with NameServer() as server:
        yield server


@pytest.fixture
async def resolver(names: NameServer) -> AsyncIterator[Resolver]:
    yield Resolver([("127.0.0.1", names.port)], policy=QUICK)


async def found(domain: str, resolver: Resolver, *, allow_private: bool = False) -> list[MailServer]:
    return await mail_servers(domain, resolver, CHANCE, allow_private=allow_private)


def test_equal_preferences_are_shuffled_and_others_kept_in_order() -> None:
    records = [MxRecord(20, "late"), MxRecord(10, "a"), MxRecord(10, "b"), MxRecord(10, "a")]
    orders = {tuple(ordered(records, CHANCE)) for _ in range(50)}
    assert orders == {("a", "b", "late"), ("b", "a", "late")}


async def test_servers_come_by_preference_with_ipv6_and_ipv4(names: NameServer, resolver: Resolver) -> None:
    names.say("x.example", "MX", "20 backup.x.example.")
    names.say("x.example", "MX", "10 MX.x.example.")
    names.say("mx.x.example", "A", "9.9.9.9")
    names.say("mx.x.example", "AAAA", "2600::1")
    names.say("backup.x.example", "CNAME", "host.y.example.")
    names.say("host.y.example", "A", "8.8.4.4")
    assert await found("x.example", resolver) == [
        MailServer("mx.x.example", ("2600::1", "9.9.9.9")),
        MailServer("backup.x.example", ("8.8.4.4",)),
    ]


async def test_without_mx_the_domain_itself_is_the_server(names: NameServer, resolver: Resolver) -> None:
    names.say("x.example", "A", "8.8.4.4")
    assert await found("x.example", resolver) == [MailServer("x.example", ("8.8.4.4",))]


async def test_an_alias_of_a_domain_has_the_servers_of_what_it_stands_for(
    names: NameServer, resolver: Resolver
) -> None:
    names.say("alias.example", "CNAME", "x.example.")
    names.say("x.example", "MX", "10 mx.x.example.")
    names.say("mx.x.example", "A", "8.8.4.4")
    assert [server.host for server in await found("alias.example", resolver)] == ["mx.x.example"]


@pytest.mark.parametrize(
    ("records", "enhanced"),
    [
        ([("x.example", "MX", "0 .")], "5.1.10"),
        ([], "5.1.2"),
        ([("x.example", "TXT", '"nothing for mail"')], "5.1.2"),
        ([("x.example", "MX", "10 gone.x.example.")], "5.1.2"),
    ],
)
async def test_what_cannot_get_mail_is_refused_for_good(
    names: NameServer, resolver: Resolver, records: list[tuple[str, str, str]], enhanced: str
) -> None:
    for record in records:
        names.say(*record)
    with pytest.raises(RelayRefused) as refused:
        await found("x.example", resolver)
    assert refused.value.permanent
    assert (refused.value.phase, refused.value.enhanced) == ("rcpt", enhanced)


async def test_address_literals_need_no_name_server(resolver: Resolver, names: NameServer) -> None:
    assert await found("[8.8.4.4]", resolver) == [MailServer("[8.8.4.4]", ("8.8.4.4",))]
    assert await found("[IPv6:2600::1]", resolver) == [MailServer("[IPv6:2600::1]", ("2600::1",))]
    assert not names.asked


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("A", "127.0.0.1"),
        ("A", "10.1.2.3"),
        ("A", "172.16.0.1"),
        ("A", "192.168.1.1"),
        ("A", "169.254.169.254"),
        ("A", "100.64.0.1"),
        ("A", "0.0.0.0"),
        ("A", "224.0.0.1"),
        ("A", "255.255.255.255"),
        ("AAAA", "::1"),
        ("AAAA", "fe80::1"),
        ("AAAA", "fd00::1"),
        ("AAAA", "::ffff:7f00:1"),
        ("AAAA", "64:ff9b::7f00:1"),
        ("AAAA", "2002:7f00:1::"),
    ],
)
async def test_names_of_strangers_never_lead_into_our_own_network(
    names: NameServer, resolver: Resolver, kind: str, address: str
) -> None:
    names.say("x.example", "MX", "10 mx.x.example.")
    names.say("mx.x.example", kind, address)
    with pytest.raises(RelayUnavailable, match="private networks only"):
        await found("x.example", resolver)
    assert await found("x.example", resolver, allow_private=True)


async def test_a_private_address_among_public_ones_is_left_out(names: NameServer, resolver: Resolver) -> None:
    names.say("x.example", "A", "127.0.0.1")
    names.say("x.example", "A", "8.8.4.4")
    assert await found("x.example", resolver) == [MailServer("x.example", ("8.8.4.4",))]


async def test_a_name_that_does_not_resolve_makes_mail_wait(names: NameServer, resolver: Resolver) -> None:
    names.fail("x.example")
    with pytest.raises(RelayUnavailable, match=r"cannot be looked up: .* could not resolve x\.example"):
        await found("x.example", resolver)


async def test_a_server_whose_name_does_not_resolve_is_not_taken_for_none(
    names: NameServer, resolver: Resolver
) -> None:
    names.say("x.example", "MX", "10 mx.broken.example.")
    names.fail("mx.broken.example")
    with pytest.raises(RelayUnavailable):
        await found("x.example", resolver)


async def test_an_answer_is_asked_for_once(names: NameServer, resolver: Resolver) -> None:
    names.say("x.example", "A", "8.8.4.4")
    for _ in range(20):
        await found("x.example", resolver)
        with pytest.raises(RelayRefused):
            await found("none.example", resolver)
    assert set(names.asked.values()) == {1}


async def test_one_silent_domain_stands_in_nobody_elses_way(names: NameServer, resolver: Resolver) -> None:
    names.ignore("silent.example")
    names.say("x.example", "A", "8.8.4.4")
    for _ in range(10):
        with pytest.raises(RelayUnavailable):
            await found("silent.example", resolver)
    assert await found("x.example", resolver)
    assert names.asked["silent.example", "MX"] <= 4


async def test_silent_name_servers_cost_a_few_waits_and_then_none(
    names: NameServer, resolver: Resolver
) -> None:
    names.say("known.example", "A", "8.8.4.4")
    assert await found("known.example", resolver)
    names.down = True
    for n in range(3):
        with pytest.raises(NamesUnavailable):
            await resolver.mx(f"n{n}.example")
    asked, started = sum(names.asked.values()), time.monotonic()
    for n in range(1000):
        with pytest.raises(NamesUnavailable, match="the name servers do not answer"):
            await resolver.mx(f"m{n}.example")
    assert sum(names.asked.values()) == asked
    assert time.monotonic() - started < QUICK.question * 20
    assert await found("known.example", resolver), "what was answered before holds"
