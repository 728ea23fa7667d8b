"""ARC chains as another program seals them, and what trusted sealers may say."""

import pytest

from apps.mailauth.arc import ArcChain, says_dmarc_passed
from apps.mailauth.results import ArcResult
from apps.mailauth.signature import SignedMessage
from tests.mailauth.signers import MAIL, publish, seal, sign
from tests.mailauth.zone import Zone

AUTHOR = "customer.example"
PASSED = f"dmarc=pass header.from={AUTHOR}"


@pytest.fixture
def zone() -> Zone:
    zone = Zone()
    for domain in (AUTHOR, "lists.test", "edge.test", "evil.test"):
        publish(zone, domain)
    return zone


def judged(content: bytes, zone: Zone, *trusted: str) -> ArcResult:
    return ArcChain(SignedMessage(content)).check(zone, trusted=trusted, from_domains=[AUTHOR])


def test_a_mail_nobody_forwarded_has_no_chain(zone: Zone) -> None:
    assert judged(MAIL, zone).result == "none"


def test_a_chain_of_two_holds_and_names_its_sealers(zone: Zone) -> None:
    once = seal(sign(), "lists.test", PASSED)
    assert judged(once, zone) == ArcResult(
        "pass", "Sealed by lists.test, and not changed since.", ("lists.test",)
    )
    twice = seal(once, "edge.test", "arc=pass; dmarc=fail")
    assert judged(twice, zone).sealers == ("edge.test", "lists.test")
    assert judged(twice, zone).result == "pass"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"please", b"please pay"),
        (b"Subject: Invoice", b"Subject: Rebate"),
        (b"dmarc=pass", b"dmarc=fail"),
        (b"cv=none", b"cv=pass"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=2"),
        (b"ARC-Authentication-Results: i=1", b"X-Gone: i=1"),
    ],
)
def test_a_chain_that_was_touched_fails(zone: Zone, old: bytes, new: bytes) -> None:
    content = seal(sign(), "lists.test", PASSED)
    assert old in content
    assert judged(content.replace(old, new, 1), zone, "lists.test").result == "fail"


def test_a_set_that_stands_twice_or_out_of_bounds_fails(zone: Zone) -> None:
    content = seal(sign(), "lists.test", PASSED)
    again = content[: content.index(b"ARC-Message-Signature")] + content
    assert judged(again, zone).result == "fail"
    far = b"ARC-Seal: i=51; cv=pass; a=rsa-sha256; d=x.test; s=s; b=AAAA\r\n" + content
    assert judged(far, zone).result == "fail"


def test_a_key_that_cannot_be_looked_up_is_no_verdict(zone: Zone) -> None:
    content = seal(sign(), "lists.test", PASSED)
    zone.fail("s1._domainkey.lists.test")
    assert judged(content, zone, "lists.test").result == "temperror"


def test_only_a_trusted_sealer_vouches_and_only_for_what_it_says(zone: Zone) -> None:
    said = seal(sign(), "lists.test", PASSED)
    assert judged(said, zone).vouched_by == ""
    assert judged(said, zone, "lists.test").vouched_by == "lists.test"
    denied = seal(sign(), "lists.test", "dmarc=fail header.from=customer.example")
    assert judged(denied, zone, "lists.test").vouched_by == ""
    other = seal(sign(), "lists.test", "dmarc=pass header.from=bank.test")
    assert judged(other, zone, "lists.test").vouched_by == ""


def test_of_several_senders_in_from_a_trusted_sealer_vouches_for_none(zone: Zone) -> None:
    """It has judged one of them, and people may be shown the other."""
    said = seal(sign(), "lists.test", PASSED)
    chain = ArcChain(SignedMessage(said))
    found = chain.check(zone, trusted=["lists.test"], from_domains=[AUTHOR, "bank.test"])
    assert (found.result, found.vouched_by) == ("pass", "")


def test_a_trusted_sealer_does_not_vouch_through_one_that_is_not(zone: Zone) -> None:
    """Whoever seals last could have written what stands below, and a trusted one seals what strangers claimed."""
    lie = seal(sign(), "evil.test", PASSED)
    relayed = seal(lie, "edge.test", "arc=pass; dmarc=fail header.from=customer.example")
    assert judged(relayed, zone, "edge.test").vouched_by == ""
    over = seal(
        seal(sign(), "edge.test", PASSED), "evil.test", "arc=pass; dmarc=pass header.from=customer.example"
    )
    assert judged(over, zone, "edge.test").vouched_by == ""
    assert judged(over, zone, "edge.test", "evil.test").vouched_by == "evil.test"


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        (b"i=1; lists.test; spf=pass; dmarc=pass (p=reject) header.from=customer.example", True),
        (b"i=1; lists.test; dmarc=pass", True),
        (b"i=1; lists.test; DMARC = pass header.from=Customer.Example", True),
        (b"i=1; lists.test; dmarc=fail header.from=customer.example", False),
        (b"i=1; lists.test; spf=pass (by; dmarc=pass)", False),
        (b'i=1; lists.test; spf=pass (a "b) ; dmarc=pass', True),
        (b'i=1; lists.test; spf=pass ( " ( " ) ; dmarc=pass ) ; dmarc=fail', False),
        (b'i=1; lists.test; spf=pass reason="x; dmarc=pass"', False),
        (b'i=1; lists.test; spf=pass reason="x\\"; dmarc=pass', False),
        (b"i=1; lists.test; spf=pass (\\) ; dmarc=pass", False),
        (b"i=1; lists.test; xdmarc=pass", False),
        (b"", False),
    ],
)
def test_what_stands_in_comments_and_quotes_is_not_said(value: bytes, passed: bool) -> None:  # noqa: FBT001
    assert says_dmarc_passed(value, [AUTHOR]) is passed
