"""Questions to DNS when it is slow, down, or made to be slow by somebody."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from apps.names.asking import SharedNames
from apps.names.breaker import BreakerPolicy
from apps.names.domains import ascii_domain, organisational_domain
from apps.names.resolver import SILENT_NAMES, NamesUnavailable, Resolver, ResolverPolicy
from tests.polling import wait_until
from tests.remote.names import NameServer

QUICK = ResolverPolicy(
    question=1, one_try=0.5, silence=60, breaker=BreakerPolicy(trips_after=1, first_rest=60)
)


@pytest.fixture
def dns() -> Iterator[NameServer]:
    with NameServer() as server:
        server.txt("x.example", "here")
        yield server


@pytest.fixture
def resolver(dns: NameServer) -> Resolver:
    return Resolver([("127.0.0.1", dns.port)], policy=QUICK)


@pytest.fixture
def names(resolver: Resolver) -> Iterator[SharedNames]:
    shared = SharedNames(resolver)
    yield shared
    shared.close()


async def test_strangers_whose_servers_are_silent_do_not_make_ours_seem_down(
    dns: NameServer, resolver: Resolver
) -> None:
    for n in range(5):
        dns.ignore(f"silent{n}.test")
        with pytest.raises(NamesUnavailable):
            await resolver.txt(f"silent{n}.test")
    assert await resolver.txt("x.example") == ["here"]


async def test_names_made_up_beneath_one_silent_domain_cost_a_few_waits(
    dns: NameServer, resolver: Resolver
) -> None:
    for n in range(50):
        dns.ignore(f"n{n}.evil.test")
        with pytest.raises(NamesUnavailable):
            await resolver.txt(f"n{n}.evil.test")
    assert sum(name.endswith("evil.test") for name, _kind in dns.asked.elements()) <= SILENT_NAMES * 3
    assert await resolver.txt("x.example") == ["here"]


async def test_one_name_server_of_two_is_enough(dns: NameServer) -> None:
    with NameServer() as dead:
        dead.down = True
        policy = replace(QUICK, question=3)
        resolver = Resolver([("127.0.0.1", dead.port), ("127.0.0.1", dns.port)], policy=policy)
        for n in range(3):
            dns.txt(f"n{n}.example", "here")
            assert await resolver.txt(f"n{n}.example") == ["here"]


def test_name_servers_that_come_back_are_found_without_anybody_waiting(dns: NameServer) -> None:
    impatient = ResolverPolicy(
        question=0.4,
        one_try=0.2,
        silence=0,
        breaker=BreakerPolicy(trips_after=1, first_rest=0.3, ceiling=0.3),
    )
    names = SharedNames(Resolver([("127.0.0.1", dns.port)], policy=impatient))
    dns.down = True
    with pytest.raises(NamesUnavailable):
        names.within(5).texts("x.example")
    for n in range(200):
        started = time.monotonic()
        with pytest.raises(NamesUnavailable, match="do not answer"):
            names.within(5).texts(f"n{n}.example")
        assert time.monotonic() - started < impatient.question, "nobody waits for a probe"
    dns.down = False
    wait_until(lambda: _texts(names, "x.example") == ["here"])
    names.close()


def _texts(names: SharedNames, name: str) -> list[str]:
    try:
        return names.within(5).texts(name)
    except NamesUnavailable:
        return []


def test_threads_share_one_cache_and_one_way_of_asking(dns: NameServer, names: SharedNames) -> None:
    found: list[list[str]] = []
    first = names.within(5)
    assert first.texts("x.example") == ["here"]
    threads = [
        threading.Thread(target=lambda: found.append(names.within(5).texts("x.example"))) for _ in range(8)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == [["here"]] * 8
    assert dns.asked["x.example", "TXT"] == 1


def test_what_was_asked_ahead_is_asked_once_and_together(dns: NameServer, names: SharedNames) -> None:
    dns.txt("y.example", "there")
    budget = names.within(5)
    budget.ahead("x.example", "y.example", "none.example", "x.example")
    assert [budget.texts(name) for name in ("x.example", "y.example", "none.example")] == [
        ["here"],
        ["there"],
        [],
    ]
    assert set(dns.asked.values()) == {1}


def test_a_budget_ends_and_what_is_known_is_told_all_the_same(dns: NameServer, names: SharedNames) -> None:
    assert names.within(5).texts("x.example") == ["here"]
    over = names.within(0)
    assert over.texts("x.example") == ["here"]
    with pytest.raises(NamesUnavailable, match="too long"):
        over.texts("y.example")


def test_only_so_many_threads_wait_for_long(dns: NameServer) -> None:
    """The one who came first waits for slow names as long as it may, the next one for a moment, and neither is told
    something wrong."""
    slow = SharedNames(
        Resolver([("127.0.0.1", dns.port)], policy=ResolverPolicy(question=60, one_try=60)), long_waits=1
    )
    dns.ignore("slow.test")
    dns.ignore("slower.test")
    waited: list[float] = []

    def wait_for(name: str) -> None:
        started = time.monotonic()
        with pytest.raises(NamesUnavailable, match="too long"):
            slow.within(3).texts(name)
        waited.append(time.monotonic() - started)

    first = threading.Thread(target=wait_for, args=["slow.test"])
    first.start()
    wait_until(lambda: dns.asked["slow.test", "TXT"] > 0, what="the first question")
    wait_for("slower.test")
    assert slow.within(3).texts("x.example") == ["here"]
    first.join()
    slow.close()
    next_one, first_one = waited
    assert next_one < 2
    assert first_one > 2.9


def test_each_kind_of_record_is_read(dns: NameServer, names: SharedNames) -> None:
    dns.address("x.example", "192.0.2.1", "2001:db8::1")
    dns.mx("x.example", "mx.x.example")
    dns.say("1.2.0.192.in-addr.arpa", "PTR", "x.example.")
    budget = names.within(5)
    assert [str(one) for one in budget.addresses("x.example", 4)] == ["192.0.2.1"]
    assert [str(one) for one in budget.addresses("x.example", 6)] == ["2001:db8::1"]
    assert [one.host for one in budget.exchangers("x.example")] == ["mx.x.example"]
    assert budget.pointers("1.2.0.192.in-addr.arpa") == ["x.example"]
    assert budget.pointers("none.example") == []


def test_a_machine_without_name_servers_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedNames(Resolver([("127.0.0.1", 9)], policy=QUICK))
    started = time.monotonic()
    for n in range(100):
        with pytest.raises(NamesUnavailable):
            shared.within(5).texts(f"n{n}.example")
    assert time.monotonic() - started < QUICK.question * 20
    shared.close()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Example.ORG.", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("a..b", ""),
        ("", ""),
        ("a" * 64 + ".org", ""),
        ("x y.org", ""),
        ("_dmarc.x_y.org", "_dmarc.x_y.org"),
        ("[192.0.2.1]", ""),
    ],
)
def test_names_are_compared_in_one_form(text: str, name: str) -> None:
    assert ascii_domain(text) == name


def test_who_is_behind_a_name() -> None:
    behind = {
        name: organisational_domain(name)
        for name in ("a.b.example.co.uk", "x.github.io", "co.uk", "localhost", "")
    }
    assert list(behind.values()) == ["example.co.uk", "x.github.io", "co.uk", "localhost", ""]
