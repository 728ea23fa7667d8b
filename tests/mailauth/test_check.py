"""All of it together, over a real name server on loopback: what is found, what it costs, and what is told."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import authres
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.mailauth.check import NOT_FROM_OUTSIDE, Arrival, Place, check
from apps.mailauth.results import Authentication
from apps.names.asking import SharedNames
from apps.names.breaker import BreakerPolicy
from apps.names.resolver import Resolver, ResolverPolicy
from tests.mailauth.signers import MAIL, key_record, seal, sign
from tests.mailauth.zone import Zone
from tests.remote.names import NameServer

PLACE = Place("mx.house.example", ("lists.test",))
FROM_OUTSIDE = Arrival(
    address="192.0.2.7",
    helo="out.customer.example",
    sender="elena@customer.example",
    shown_from="elena@customer.example",
    at=datetime.now(UTC),
)
QUICK = ResolverPolicy(question=2, one_try=1, silence=60, breaker=BreakerPolicy(trips_after=1, first_rest=60))


@pytest.fixture
def dns() -> Iterator[NameServer]:
    with NameServer() as server:
        server.txt("customer.example", "v=spf1 ip4:192.0.2.0/24 -all")
        server.txt("s1._domainkey.customer.example", key_record())
        server.txt("_dmarc.customer.example", "v=DMARC1; p=reject")
        yield server


@pytest.fixture
def names(dns: NameServer) -> Iterator[SharedNames]:
    shared = SharedNames(Resolver([("127.0.0.1", dns.port)], policy=QUICK))
    yield shared
    shared.close()


def judged(
    raw: bytes, names: SharedNames, arrival: Arrival = FROM_OUTSIDE, seconds: float = 5
) -> Authentication:
    return check(raw, arrival, names.within(seconds), PLACE)


def test_an_honest_mail_passes_all_three_and_says_so(names: SharedNames) -> None:
    found = judged(sign(), names)
    assert (found.spf.result, found.dkim.result, found.dmarc.result, found.arc.result) == (
        "pass",
        "pass",
        "pass",
        "none",
    )
    assert found.dmarc.proven_by == "signature"
    assert found.spf.reason == "customer.example lets 192.0.2.7 send for it."


def test_a_forgery_fails_with_the_policy_of_the_domain_it_claims(dns: NameServer, names: SharedNames) -> None:
    dns.txt("evil.test", "v=spf1 +all")
    dns.txt("s1._domainkey.evil.test", key_record())
    found = judged(sign(domain="evil.test"), names, replace(FROM_OUTSIDE, sender="x@evil.test"))
    assert (found.spf.result, found.dkim.result) == ("pass", "pass")
    assert (found.dmarc.result, found.dmarc.policy, found.dmarc.disposition) == ("fail", "reject", "reject")


def test_the_address_that_is_shown_must_be_proven_however_from_is_written(
    dns: NameServer, names: SharedNames
) -> None:
    dns.txt("bank.test.", "v=spf1 -all")
    dns.txt("_dmarc.bank.test", "v=DMARC1; p=reject")
    for field in (
        b"From: <ceo@bank.test>, <elena@customer.example>",
        b"From: elena@customer.example\r\nFrom: ceo@bank.test",
    ):
        found = judged(sign(MAIL.replace(b"From: Elena Marsh <elena@customer.example>", field)), names)
        assert (found.dmarc.result, found.dmarc.domain) == ("fail", "bank.test")
    shown = replace(FROM_OUTSIDE, shown_from="ceo@bank.test")
    assert judged(sign(), names, shown).dmarc.domain == "bank.test"


def test_a_strangers_results_are_not_believed_though_they_bear_our_name(names: SharedNames) -> None:
    forged = b"Authentication-Results: mx.house.example; dmarc=pass header.from=customer.example\r\n" + MAIL
    found = judged(forged, names, replace(FROM_OUTSIDE, address="198.51.100.1"))
    assert found.dmarc.result == "fail"


def test_over_a_trusted_network_there_is_no_spf_and_dkim_must_do(names: SharedNames) -> None:
    found = judged(sign(), names, replace(FROM_OUTSIDE, address=""))
    assert (found.spf.result, found.spf.reason) == ("none", NOT_FROM_OUTSIDE)
    assert (found.dmarc.result, found.dmarc.proven_by) == ("pass", "signature")


def test_a_trusted_list_excuses_what_it_changed(dns: NameServer, names: SharedNames) -> None:
    dns.txt("s1._domainkey.lists.test", key_record())
    changed = sign().replace(b"Subject: Invoice", b"Subject: [list] Invoice")
    arrival = replace(FROM_OUTSIDE, address="198.51.100.1", sender="bounces@lists.test")
    sealed = seal(changed, "lists.test", "dmarc=pass header.from=customer.example")
    found = judged(sealed, names, arrival)
    assert (found.arc.result, found.arc.vouched_by) == ("pass", "lists.test")
    assert (found.dmarc.result, found.dmarc.disposition) == ("fail", "none")


def test_the_results_can_be_read_by_another_program(names: SharedNames) -> None:
    found = judged(sign(), names)
    read = authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {found.results_text}")
    assert read.authserv_id == "mx.house.example"
    told = {(one.method, one.result): {p.name: p.value for p in one.properties} for one in read.results}
    assert told[("spf", "pass")] == {"mailfrom": "customer.example"}
    assert told[("dkim", "pass")]["d"] == "customer.example"
    assert told[("dmarc", "pass")] == {"from": "customer.example"}
    assert ("arc", "none") in told
    assert found.as_json()["authentication_results"] == found.results_text


def test_name_servers_that_are_down_are_no_verdict_and_cost_the_budget_once(
    dns: NameServer, names: SharedNames
) -> None:
    dns.down = True
    started = time.monotonic()
    found = judged(sign(), names)
    first = time.monotonic() - started
    assert {found.spf.result, found.dkim.result, found.dmarc.result} == {"temperror"}
    assert found.dmarc.disposition == "none"
    asked = sum(dns.asked.values())
    for n in range(30):
        other = replace(FROM_OUTSIDE, sender=f"x@n{n}.test", shown_from=f"x@n{n}.test")
        assert judged(sign(domain=f"n{n}.test"), names, other).dmarc.result == "temperror"
    assert sum(dns.asked.values()) == asked, "nobody is asked while they are down"
    assert time.monotonic() - started < first * 4 + 2


def test_all_questions_together_take_no_longer_than_the_budget(dns: NameServer) -> None:
    slow = SharedNames(Resolver([("127.0.0.1", dns.port)], policy=ResolverPolicy(question=60, one_try=60)))
    dns.down = True
    started = time.monotonic()
    found = judged(sign(), slow, seconds=0.5)
    assert time.monotonic() - started < 10
    assert found.dmarc.result == "temperror"
    slow.close()


def test_a_forgers_slow_names_do_not_make_his_forgery_unclear(dns: NameServer) -> None:
    """He adds signatures whose keys never come, so that the time is over before From's own domain was asked."""
    patient = ResolverPolicy(question=30, one_try=30)
    shared = SharedNames(Resolver([("127.0.0.1", dns.port)], policy=patient))
    raw = MAIL
    for n in range(8):
        dns.ignore(f"s1._domainkey.n{n}.test")
        raw = sign(raw, domain=f"n{n}.test")
    dns.ignore("evil.test")
    forged_envelope = replace(FROM_OUTSIDE, address="198.51.100.1")
    found = judged(raw, shared, forged_envelope, seconds=1)
    assert (found.spf.result, found.dmarc.result) == ("fail", "fail")
    found = judged(raw, shared, replace(forged_envelope, sender="x@evil.test"), seconds=1)
    assert (found.spf.result, found.dmarc.result) == ("temperror", "fail")
    shared.close()


def test_answers_are_asked_for_once(dns: NameServer, names: SharedNames) -> None:
    for _ in range(5):
        judged(sign(), names)
    assert set(dns.asked.values()) == {1}, dns.asked


@given(
    st.binary(max_size=400),
    st.text(max_size=60),
    st.text(max_size=60),
    st.text(max_size=60),
    st.sampled_from(["", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "nonsense"]),
)
@settings(deadline=None, max_examples=200)
def test_nothing_raises(raw: bytes, helo: str, sender: str, shown: str, address: str) -> None:
    arrival = Arrival(address, helo, sender, shown, datetime.now(UTC))
    zone = Zone({sender.rpartition("@")[2]: [{"SPF": f"v=spf1 {helo}"}]})
    found = check(b"From: " + sender.encode("utf-8", "replace") + b"\r\n" + raw, arrival, zone, PLACE)
    assert "\n" not in found.results_text
    assert "\x00" not in str(found.as_json())
