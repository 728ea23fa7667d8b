"""What DNS says about a domain, in words a person can act on. The name server is real and on loopback."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.outbound.domains.checks import check_records
from apps.outbound.domains.dkim import judge_key_record
from apps.outbound.domains.dmarc import judge_dmarc
from apps.outbound.domains.findings import Finding, Judgement, Record, Verdict
from apps.outbound.domains.records import Place
from apps.outbound.domains.resolver import SystemDns
from apps.outbound.domains.senders import spf_mechanisms
from apps.outbound.domains.spf import SpfError, judge_spf, parse_spf
from tests.remote.names import NameServer

KITE = "kite.example"
RELAY = ["a:relay.example.net"]
KEY = "MIIBIjANBgkqhkiG9w0" * 20


def ask(dns: SystemDns, question: Callable[[], Coroutine[Any, Any, Judgement]]) -> Judgement:
    async def run() -> Judgement:
        try:
            return await question()
        finally:
            await dns.close()

    return asyncio.run(run())


def spf(dns: SystemDns, wanted: list[str] | None = None) -> Judgement:
    return ask(dns, lambda: judge_spf(KITE, RELAY if wanted is None else wanted, dns))


def dmarc(dns: SystemDns, domain: str = KITE) -> Judgement:
    return ask(dns, lambda: judge_dmarc(domain, dns))


# SPF


def test_spf_that_names_the_relay_is_right(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(KITE, "some other text", "v=spf1 a:relay.example.net -all")
    judged = spf(dns)
    assert (judged.verdict, judged.remarks) == (Verdict.OK, ())
    assert judged.found == ("v=spf1 a:relay.example.net -all",)


def test_no_spf_is_missing(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(KITE, "some other text")
    assert spf(dns).verdict == Verdict.MISSING


def test_two_spf_records_are_an_error(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(KITE, "v=spf1 a:relay.example.net -all", "v=spf1 include:a.example ~all")
    judged = spf(dns)
    assert judged.verdict == Verdict.WRONG
    assert "There are 2 SPF records" in judged.sentence
    assert "RFC 7208 §4.5" in judged.sentence


def test_spf_that_forgets_the_relay_says_what_to_add(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(KITE, "v=spf1 mx -all")
    zone.mx(KITE, "mail.kite.example")
    judged = spf(dns, ["a:relay.example.net", "include:sendgrid.net"])
    assert judged.verdict == Verdict.WRONG
    assert "Add a:relay.example.net include:sendgrid.net before" in judged.sentence


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 include:inner.example -all",
        "v=spf1 redirect=inner.example",
        "v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/32 -all",
        "v=spf1 mx:mx.example -all",
        "V=SPF1 A:Relay.Example.Net -all",
    ],
)
def test_a_relay_may_be_allowed_in_other_words(zone: NameServer, dns: SystemDns, record: str) -> None:
    zone.txt(KITE, record)
    zone.txt("inner.example", "v=spf1 a:relay.example.net ~all")
    zone.address("relay.example.net", "192.0.2.7", "2001:db8::7")
    zone.mx("mx.example", "relay.example.net")
    assert spf(dns).verdict == Verdict.OK


def test_networks_that_leave_out_the_relays_ipv6_do_not_allow_it(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(KITE, "v=spf1 ip4:192.0.2.0/28 -all")
    zone.address("relay.example.net", "192.0.2.7", "2001:db8::7")
    assert spf(dns).verdict == Verdict.WRONG


def test_more_than_ten_lookups_are_an_error_to_receivers(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(KITE, "v=spf1 a:relay.example.net include:many.example -all")
    zone.txt("many.example", "v=spf1 " + " ".join(f"a:a{n}.example" for n in range(9)) + " -all")
    judged = spf(dns)
    assert judged.verdict == Verdict.WRONG
    assert "more than 10 DNS look-ups" in judged.sentence


def test_nearly_too_many_lookups_are_remarked(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(KITE, "v=spf1 a:relay.example.net " + " ".join(f"a:a{n}.example" for n in range(8)) + " -all")
    judged = spf(dns)
    assert judged.verdict == Verdict.OK
    assert "9 of at most 10" in judged.remarks[0]


def test_an_spf_that_includes_itself_ends(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(KITE, f"v=spf1 include:{KITE} -all")
    assert "more than 10" in spf(dns).sentence


def test_an_include_without_a_record_breaks_the_whole(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(KITE, "v=spf1 include:gone.example -all")
    assert "gone.example, which has 0 SPF records" in spf(dns).sentence


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("v=spf1 +all", "lets the whole world"),
        ("v=spf1 all", "lets the whole world"),
        ("v=spf1 ipv4:192.0.2.1 -all", "“ipv4:192.0.2.1” is nothing that SPF knows"),
        ("v=spf1 ip4:192.0.2 -all", "“ip4:192.0.2” is no network address"),
        ("v=spf1 include: -all", "names no domain"),
        ("v=spf1 a:rel ay -all", "is nothing that SPF knows"),
        ('"v=spf1 -all"', "must begin with v=spf1"),
        ("v=spf1;a -all", "must begin with v=spf1"),
        ("spf1 -all", "must begin with v=spf1"),
    ],
)
def test_what_is_wrong_with_an_spf_record_is_said(
    zone: NameServer, dns: SystemDns, record: str, words: str
) -> None:
    zone.txt(KITE, record)
    judged = spf(dns)
    assert judged.verdict == Verdict.WRONG
    assert words in judged.sentence


@pytest.mark.parametrize(
    ("record", "words"), [("v=spf1 a:x", "without “all”"), ("v=spf1 ?all", "forbids nobody")]
)
def test_an_spf_that_forbids_nobody_is_remarked(
    zone: NameServer, dns: SystemDns, record: str, words: str
) -> None:
    zone.txt(KITE, record)
    judged = spf(dns, [])
    assert judged.verdict == Verdict.OK
    assert words in judged.remarks[0]


def test_redirect_is_ignored_beside_all() -> None:
    # RFC 7208 §6.1
    assert [term.name for term in parse_spf("v=spf1 redirect=x.example -all")] == ["all"]
    with pytest.raises(SpfError):
        parse_spf("v=spf1 ip6:192.0.2.1")


def test_relays_become_mechanisms() -> None:
    hosts = [
        "smtp.sendgrid.net",
        "relay.kite.example",
        "127.0.0.1",
        "10.0.0.5",
        "8.8.8.8",
        "localhost",
        "",
        "SMTP.SendGrid.net.",
    ]
    assert spf_mechanisms(hosts, own_host="mail.kite.example") == [
        "include:sendgrid.net",
        "a:relay.kite.example",
        "ip4:8.8.8.8",
        "a:mail.kite.example",
    ]
    assert spf_mechanisms(["notsendgrid.net"], own_host="") == ["a:notsendgrid.net"]


# DKIM


@pytest.mark.parametrize(
    ("texts", "verdict", "words"),
    [
        ([f"v=DKIM1; k=rsa; p={KEY}"], Verdict.OK, "it is our key"),
        ([f"p={KEY[:100]} {KEY[100:]}"], Verdict.OK, "it is our key"),
        ([f" v=DKIM1;k=rsa;t=s;p={KEY};"], Verdict.OK, "it is our key"),
        ([], Verdict.MISSING, "no record of this name"),
        (["v=DKIM1; k=rsa; p="], Verdict.WRONG, "revoked"),
        (["v=DKIM1; k=rsa; p=OLDKEY"], Verdict.WRONG, "belongs to the selector mp1"),
        (["v=DKIM1; k=rsa; p=OTHER"], Verdict.WRONG, "p= differs from our key"),
        ([f"v=DKIM1; k=rsa; p={KEY[:200]}"], Verdict.WRONG, "cut off: 200 of 380"),
        ([f"v=DKIM1; k=ed25519; p={KEY}"], Verdict.WRONG, "k= says ed25519"),
        ([f"v=DKIM2; p={KEY}"], Verdict.WRONG, "v= must be DKIM1"),
        ([f"k=rsa; v=DKIM1; p={KEY}"], Verdict.WRONG, "come first"),
        ([f"v=DKIM1; h=sha1; p={KEY}"], Verdict.WRONG, "does not allow sha256"),
        ([f"v=DKIM1; s=tlsrpt; p={KEY}"], Verdict.WRONG, "being used for mail"),
        ([f'"v=DKIM1; k=rsa" " p={KEY}"'], Verdict.WRONG, "Quotation marks"),
        (["v=DKIM1; k=rsa; oops"], Verdict.WRONG, "cannot be read at “oops”"),
        (["v=DKIM1; k=rsa"], Verdict.WRONG, "no p="),
        ([f"p={KEY}", "p=OTHER"], Verdict.WRONG, "2 records"),
    ],
)
def test_a_key_record_is_judged(texts: list[str], verdict: Verdict, words: str) -> None:
    judged = judge_key_record(texts, algorithm="rsa", public=KEY, others={"mp1": "OLDKEY"})
    assert judged.verdict == verdict
    assert words in judged.sentence


def test_a_domain_that_only_tests_dkim_is_remarked() -> None:
    judged = judge_key_record([f"v=DKIM1; t=y; p={KEY}"], algorithm="rsa", public=KEY)
    assert judged.verdict == Verdict.OK
    assert "t=y" in judged.remarks[0]


# DMARC


def test_dmarc_that_protects_is_right(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(f"_dmarc.{KITE}", f"v=DMARC1; p=reject; rua=mailto:d@{KITE}; adkim=s; pct=100")
    judged = dmarc(dns)
    assert (judged.verdict, judged.remarks) == (Verdict.OK, ())


def test_dmarc_none_without_reports_is_right_with_two_remarks(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(f"_dmarc.{KITE}", "v=DMARC1;p=none")
    judged = dmarc(dns)
    assert judged.verdict == Verdict.OK
    assert len(judged.remarks) == 2


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], "2 DMARC records"),
        (["v=DMARC1; rua=mailto:x@kite.example"], "no p="),
        (["v=DMARC1; p=block"], "p=block is no policy"),
        (["v=DMARC1; p=none; sp=off"], "sp=off is no policy"),
        (["v=DMARC1; p=none; pct=101"], "from 0 to 100"),
        (["v=DMARC1; p=none; adkim=strict"], "it is r or s"),
        (["v=DMARC1; p=none; rua=d@kite.example"], "written as mailto:"),
        (["v=DMARC1; p none"], "cannot be read at “p none”"),
        (["DMARC1; p=none"], "must begin with v=DMARC1"),
        (["v=DMARC1; p=none; rua=mailto:d@reports.example"], "reports.example has not agreed"),
    ],
)
def test_what_is_wrong_with_a_dmarc_record_is_said(
    zone: NameServer, dns: SystemDns, records: list[str], words: str
) -> None:
    zone.txt(f"_dmarc.{KITE}", *records)
    judged = dmarc(dns)
    assert judged.verdict == Verdict.WRONG
    assert words in judged.sentence


def test_another_domain_may_take_the_reports_when_it_says_so(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(f"_dmarc.{KITE}", "v=DMARC1; p=reject; rua=mailto:d@reports.example")
    zone.txt(f"{KITE}._report._dmarc.reports.example", "v=DMARC1")
    assert dmarc(dns).verdict == Verdict.OK


def test_a_parents_dmarc_counts(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(f"_dmarc.{KITE}", "v=DMARC1; p=reject")
    assert "kite.example has a DMARC record" in dmarc(dns, f"help.{KITE}").sentence
    assert dmarc(dns, "other.example").verdict == Verdict.MISSING


# all together


def check(
    dns: SystemDns, *records: Record, mail_host: str = "mail.kite.example", within: float = 5
) -> list[Finding]:
    async def run() -> list[Finding]:
        try:
            return await check_records(records, Place(mail_host=mail_host), dns, within_seconds=within)
        finally:
            await dns.close()

    return asyncio.run(run())


def record(code: str, name: str = KITE, value: str = "x", **more: Any) -> Record:
    return Record(code, "TXT", name, value, "", **more)


MX = record("mx")
STS = record("mta_sts", f"_mta-sts.{KITE}")


@pytest.mark.parametrize(
    ("hosts", "verdict", "words"),
    [
        (["mail.kite.example"], Verdict.OK, "comes here"),
        (["mail.kite.example", "backup.example"], Verdict.OK, "comes here"),
        ([], Verdict.MISSING, "no MX record"),
        ([""], Verdict.WRONG, "takes no mail at all"),
        (["aspmx.example"], Verdict.WRONG, "goes to aspmx.example, not here"),
    ],
)
def test_mx_is_judged(
    zone: NameServer, dns: SystemDns, hosts: list[str], verdict: Verdict, words: str
) -> None:
    zone.address("mail.kite.example", "192.0.2.1")
    if hosts:
        zone.mx(KITE, *hosts)
    (finding,) = check(dns, MX)
    assert finding.verdict == verdict
    assert words in finding.sentence


def test_an_mx_that_names_a_host_without_address_is_wrong(zone: NameServer, dns: SystemDns) -> None:
    zone.mx(KITE, "mail.kite.example")
    assert "has no address" in check(dns, MX)[0].sentence


def test_mta_sts_is_judged(zone: NameServer, dns: SystemDns) -> None:
    assert check(dns, STS)[0].verdict == Verdict.MISSING
    zone.txt(STS.name, "v=STSv1; id=2026")
    zone.address(f"mta-sts.{KITE}", "192.0.2.1")
    assert check(dns, STS)[0].verdict == Verdict.OK
    zone.txt(STS.name, "v=STSv1; id=20-26")
    assert check(dns, STS)[0].verdict == Verdict.WRONG


def test_a_name_server_that_errs_makes_nothing_missing(zone: NameServer, dns: SystemDns) -> None:
    zone.fail(KITE)
    for finding in check(dns, record("spf"), record("verify"), MX):
        assert finding.verdict == Verdict.UNCHECKED, finding.record.code
        assert "could not be checked" in finding.sentence
        assert "may well be right" in finding.sentence


def test_a_silent_name_server_costs_its_own_records_only_and_no_more_than_the_budget(
    zone: NameServer, dns: SystemDns
) -> None:
    zone.ignore(f"_dmarc.{KITE}")
    zone.txt(KITE, "v=spf1 -all")
    begun = time.monotonic()
    silent, quick = check(dns, record("dmarc", f"_dmarc.{KITE}"), record("spf"), within=1)
    assert time.monotonic() - begun < 20
    assert silent.verdict == Verdict.UNCHECKED
    assert "within 1 seconds" in silent.sentence
    assert quick.verdict == Verdict.OK


def test_a_name_that_cannot_be_asked_is_unchecked() -> None:
    (finding,) = check(SystemDns([]), record("spf", "a..b"))
    assert finding.verdict == Verdict.UNCHECKED


def test_a_record_longer_than_a_udp_answer_is_read(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(f"mp1._domainkey.{KITE}", "v=DKIM1; k=rsa; p=" + "A" * 2000)
    key = record("dkim", f"mp1._domainkey.{KITE}", "v=DKIM1; k=rsa; p=" + "A" * 2000, selector="mp1")
    assert check(dns, key)[0].verdict == Verdict.OK


def test_records_that_need_the_same_answer_ask_once(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(KITE, "v=spf1 -all", "mail-platform-verify=abc")
    spf_found, proof = check(dns, record("spf"), record("verify", value="mail-platform-verify=abc"))
    assert (spf_found.verdict, proof.verdict) == (Verdict.OK, Verdict.OK)
    assert zone.asked[KITE, "TXT"] == 1


def test_another_claims_proof_is_not_ours(zone: NameServer, dns: SystemDns) -> None:
    zone.txt(KITE, "mail-platform-verify=theirs")
    (finding,) = check(dns, record("verify", value="mail-platform-verify=ours"))
    assert finding.verdict == Verdict.WRONG


STRANGE = st.text(st.sampled_from('v=spf1DKIM;p:k \\"%{}/+-~?allinclude.ip46redirect\x00\xe4'), max_size=80)


@given(STRANGE)
@hypothesis_settings(max_examples=300, deadline=None)
def test_no_record_of_strangers_breaks_a_judge(text: str) -> None:
    assert judge_key_record([text], algorithm="rsa", public=KEY).sentence
    for record in (f"v=spf1 {text}", text):
        with contextlib.suppress(SpfError):
            parse_spf(record)
