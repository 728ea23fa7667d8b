"""DMARC: does what was proven speak for From, and what does its domain want otherwise?"""

import pytest

from apps.mailauth.dmarc import check_dmarc, overridden
from apps.mailauth.results import DkimResult, DmarcResult, Signature, SpfResult
from tests.mailauth.zone import Zone

NOTHING = DkimResult("none", "The mail is not signed.")


def spf(domain: str, result: str = "pass") -> SpfResult:
    return SpfResult(result, "", domain, "mailfrom")


def signed(*domains: str, result: str = "pass") -> DkimResult:
    return DkimResult(result, "", tuple(Signature(result, "", one) for one in domains))


def judged(
    record: str | dict[str, str],
    *,
    author: str = "mail.example.org",
    by: SpfResult | None = None,
    dkim: DkimResult = NOTHING,
    sample: bytes = b"",
) -> DmarcResult:
    zone = Zone()
    for name, text in (record if isinstance(record, dict) else {f"_dmarc.{author}": record}).items():
        zone.txt(name, text)
    return check_dmarc([author], by or spf("elsewhere.test"), dkim, zone, sample=sample)


@pytest.mark.parametrize(
    ("record", "by", "dkim", "result"),
    [
        ("v=DMARC1; p=reject", spf("mail.example.org"), NOTHING, "pass"),
        ("v=DMARC1; p=reject", spf("example.org"), NOTHING, "pass"),
        ("v=DMARC1; p=reject", spf("bounces.example.org"), NOTHING, "pass"),
        ("v=DMARC1; p=reject; aspf=s", spf("example.org"), NOTHING, "fail"),
        ("v=DMARC1; p=reject; aspf=s", spf("mail.example.org"), NOTHING, "pass"),
        ("v=DMARC1; p=reject", spf("mail.example.org", "fail"), NOTHING, "fail"),
        ("v=DMARC1; p=reject", spf("mail.example.org", "softfail"), NOTHING, "fail"),
        ("v=DMARC1; p=reject", spf("notexample.org"), NOTHING, "fail"),
        ("v=DMARC1; p=reject", spf("org"), NOTHING, "fail"),
        ("v=DMARC1; p=reject", None, signed("example.org"), "pass"),
        ("v=DMARC1; p=reject; adkim=s", None, signed("example.org"), "fail"),
        ("v=DMARC1; p=reject", None, signed("other.test", "mail.example.org"), "pass"),
        ("v=DMARC1; p=reject", None, signed("example.org", result="fail"), "fail"),
        ("v=DMARC1; p=reject", None, signed("example.org", result="temperror"), "temperror"),
        ("v=DMARC1; p=reject", spf("mail.example.org", "temperror"), NOTHING, "temperror"),
        # a stranger's own trouble is not From's
        (
            "v=DMARC1; p=reject",
            spf("elsewhere.test", "temperror"),
            signed("x.test", result="temperror"),
            "fail",
        ),
    ],
)
def test_what_is_aligned_proves(record: str, by: SpfResult | None, dkim: DkimResult, result: str) -> None:
    found = judged(record, by=by, dkim=dkim)
    assert (found.result, found.policy) == (result, "reject")
    assert found.disposition == ("reject" if result == "fail" else "none")


def test_customers_of_one_provider_are_not_one_organisation() -> None:
    found = judged("v=DMARC1; p=reject", author="ada.github.io", by=spf("eve.github.io"))
    assert found.result == "fail"
    found = judged("v=DMARC1; p=reject", author="ada.co.uk", by=spf("eve.co.uk"))
    assert found.result == "fail"


@pytest.mark.parametrize(
    ("records", "policy"),
    [
        ({"_dmarc.example.org": "v=DMARC1; p=reject"}, "reject"),
        ({"_dmarc.example.org": "v=DMARC1; p=reject; sp=quarantine"}, "quarantine"),
        ({"_dmarc.example.org": "v=DMARC1; p=none; sp=reject"}, "reject"),
        (
            {
                "_dmarc.mail.example.org": "v=DMARC1; p=none; sp=reject",
                "_dmarc.example.org": "v=DMARC1; p=reject",
            },
            "none",
        ),
        ({"_dmarc.mail.example.org": "v=DMARC1 ; P = reject"}, ""),
        ({"_dmarc.mail.example.org": "v=DMARC1;p=REJECT"}, "reject"),
        ({"_dmarc.mail.example.org": "v=DMARC1; p=nonsense"}, ""),
        ({"_dmarc.mail.example.org": "v=DMARC1; p=nonsense; rua=mailto:a@example.org"}, "none"),
        ({"_dmarc.mail.example.org": "v=DMARC1; p=reject; sp=nonsense; rua=mailto:a@example.org"}, "none"),
        ({"_dmarc.mail.example.org": "p=reject; v=DMARC1"}, ""),
        ({"_dmarc.mail.example.org": "v=spf1 -all", "_dmarc.example.org": "v=DMARC1; p=reject"}, "reject"),
        ({"_dmarc.org": "v=DMARC1; p=reject"}, ""),
        ({}, ""),
    ],
)
def test_the_policy_is_the_domains_own_or_its_organisations(records: dict[str, str], policy: str) -> None:
    found = judged(records)
    assert found.policy == policy
    assert found.result == ("fail" if policy else "none")


def test_two_records_are_none() -> None:
    zone = Zone({"_dmarc.example.org": [{"TXT": "v=DMARC1; p=reject"}, {"TXT": "v=DMARC1; p=none"}]})
    assert check_dmarc(["example.org"], spf("x.test"), NOTHING, zone, sample=b"").result == "none"


def test_a_policy_that_cannot_be_looked_up_is_no_verdict() -> None:
    zone = Zone({"_dmarc.example.org": ["TIMEOUT"]})
    found = check_dmarc(["mail.example.org"], spf("x.test"), NOTHING, zone, sample=b"")
    assert (found.result, found.disposition) == ("temperror", "none")


@pytest.mark.parametrize(
    ("policy", "milder"), [("reject", "quarantine"), ("quarantine", "none"), ("none", "none")]
)
def test_outside_the_percentage_the_next_milder_treatment_is_given(policy: str, milder: str) -> None:
    assert judged(f"v=DMARC1; p={policy}; pct=0").disposition == milder
    assert judged(f"v=DMARC1; p={policy}; t=y").disposition == milder
    assert judged(f"v=DMARC1; p={policy}; pct=100").disposition == policy
    assert judged(f"v=DMARC1; p={policy}; pct=nonsense").disposition == policy
    drawn = [judged(f"v=DMARC1; p={policy}; pct=30", sample=b"%d" % n).disposition for n in range(300)]
    assert drawn == [
        judged(f"v=DMARC1; p={policy}; pct=30", sample=b"%d" % n).disposition for n in range(300)
    ]
    if policy != milder:
        assert 50 < drawn.count(policy) < 130


def test_every_domain_in_from_must_be_spoken_for_and_the_strictest_decides() -> None:
    zone = Zone()
    zone.txt("_dmarc.bank.test", "v=DMARC1; p=reject")
    zone.txt("_dmarc.shop.test", "v=DMARC1; p=quarantine")
    both = ["shop.test", "bank.test"]
    found = check_dmarc(both, spf("x.test"), NOTHING, zone, sample=b"")
    assert (found.result, found.domain, found.disposition) == ("fail", "bank.test", "reject")
    found = check_dmarc(both, spf("shop.test"), NOTHING, zone, sample=b"")
    assert (found.result, found.domain, found.proven_by) == ("fail", "bank.test", "")
    found = check_dmarc(both, spf("shop.test"), signed("bank.test"), zone, sample=b"")
    assert (found.result, bool(found.proven_by)) == ("pass", True)
    found = check_dmarc(["nobody.test", "bank.test"], spf("x.test"), signed("bank.test"), zone, sample=b"")
    assert found.proven_by == "", "one that is proven does not speak for one that is not"


def test_a_from_without_a_domain_is_permerror_and_so_are_too_many() -> None:
    assert check_dmarc([], spf("x.test"), NOTHING, Zone(), sample=b"").result == "permerror"
    many = [f"n{n}.test" for n in range(9)]
    zone = Zone()
    assert check_dmarc(many, spf("x.test"), NOTHING, zone, sample=b"").result == "permerror"
    assert zone.asked == []


def test_a_domain_without_a_policy_may_be_proven_all_the_same() -> None:
    assert judged({}, by=spf("example.org")).proven_by == "servers"
    assert judged({}, dkim=signed("example.org")).proven_by == "signature"
    assert judged({}).proven_by == ""


def test_a_trusted_forwarders_word_changes_what_is_done_and_not_what_was_found() -> None:
    failed = judged("v=DMARC1; p=reject")
    excused = overridden(failed, "lists.test")
    assert (excused.result, excused.disposition) == ("fail", "none")
    assert "lists.test" in excused.reason
    assert overridden(failed, "") == failed
