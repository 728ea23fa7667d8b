"""DKIM signatures of others and of ours: which of them hold. dkimpy is the other judge."""

import re
import time
from datetime import UTC, datetime, timedelta

import dkim
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.mailauth.dkim import MAX_SIGNATURES, DkimSignatures
from apps.mailauth.results import DkimResult
from apps.mailauth.signature import MAX_HEADER_BYTES, SignedMessage
from apps.outbound.models import KeyAlgorithm
from apps.outbound.signing import sign as sign_ours
from apps.outbound.signing.keys import Key, PrivateKey, generate, public_text, record_value
from tests.mailauth.signers import MAIL, key_record, publish, sign
from tests.mailauth.zone import Zone

NOW = datetime.now(UTC)
DOMAIN = "customer.example"
RSA_768 = (
    "MHwwDQYJKoZIhvcNAQEBBQADawAwaAJhANBQD73R2Y2HYsmQ3QRBKbVGlCidMraJeANcvBqEyuVUQGktf6xELfyAK3xh1zxdtWJlBJRE73nv"
    "SZa5cKrMUp5CxLvkpFg80rtvCcdwTwq2T7Wfa5sHeJqK2pFtj4HGNQIDAQAB"
)


@pytest.fixture
def zone() -> Zone:
    zone = Zone()
    publish(zone, DOMAIN)
    return zone


def judged(content: bytes, zone: Zone, *, at: datetime = NOW, speaks_for: str = DOMAIN) -> DkimResult:
    return DkimSignatures(SignedMessage(content), [speaks_for]).check(zone, now=at)


@pytest.mark.parametrize("header", [b"simple", b"relaxed"])
@pytest.mark.parametrize("body", [b"simple", b"relaxed"])
def test_a_signature_holds_in_each_form(zone: Zone, header: bytes, body: bytes) -> None:
    found = judged(sign(forms=(header, body)), zone)
    assert (found.result, found.signatures[0].domain) == ("pass", DOMAIN)
    assert found.reason == "Signed by customer.example, and not changed since."


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
def test_our_own_signatures_hold(algorithm: KeyAlgorithm) -> None:
    key = Key("mp1", algorithm, generate(algorithm))
    zone = Zone()
    zone.txt(f"mp1._domainkey.{DOMAIN}", record_value(algorithm, public_text(key.private)))
    content = sign_ours(MAIL, DOMAIN, [key], at=NOW)
    assert judged(content, zone).result == "pass"
    assert judged(content.replace(b"look", b"pay"), zone).result == "fail"


BOTH = (b"list-unsubscribe", b"list-unsubscribe-post")
LISTED = (
    b"List-Unsubscribe: <https://customer.example/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    + MAIL
)


@pytest.mark.parametrize(
    ("content", "covers", "holds"),
    [
        (LISTED, (b"from", *BOTH), True),
        (LISTED, (b"from", BOTH[0]), False),
        (LISTED, (b"from", BOTH[1]), False),
        (LISTED, (b"from",), False),
        (b"List-Unsubscribe: <https://evil.example/u>\r\n" + LISTED, (b"from", *BOTH), False),
    ],
)
def test_a_signature_says_whether_it_covers_the_way_out_of_a_list(
    zone: Zone, content: bytes, covers: tuple[bytes, ...], *, holds: bool
) -> None:
    (signature,) = judged(sign(content, covers=covers), zone).signatures
    assert (signature.result, signature.covers_unsubscribe) == ("pass", holds)
    (broken,) = judged(sign(content, covers=covers).replace(b"look", b"pay"), zone).signatures
    assert (broken.result, broken.covers_unsubscribe) == ("fail", False)


def test_bare_line_feeds_are_read_as_they_went_over_the_wire(zone: Zone) -> None:
    assert judged(sign().replace(b"\r\n", b"\n"), zone).result == "pass"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"please", b"please pay", "The text was changed after customer.example signed it."),
        (b"Subject: Invoice", b"Subject: Rebate", "forged, or the mail’s header was changed"),
        (b"To: support", b"From: boss@customer.example\r\nTo: support", "a From that the signature"),
    ],
)
def test_what_was_changed_does_not_hold(zone: Zone, old: bytes, new: bytes, reason: str) -> None:
    found = judged(sign().replace(old, new, 1), zone)
    assert found.result == "fail"
    assert reason in found.reason


def test_a_from_of_ones_own_on_top_breaks_a_signature_that_covers_only_one(zone: Zone) -> None:
    """A bought mail with another From above: the reader would see the one that nobody signed."""
    content = b"From: ceo@customer.example\r\n" + sign()
    assert judged(content, zone).result == "fail"


def test_a_signature_of_the_beginning_holds_only_while_nothing_follows(zone: Zone) -> None:
    content = sign(is_cut=True)
    assert b"l=" in content
    assert judged(content, zone).result == "pass"
    found = judged(content + b"And send the money here.\r\n", zone)
    assert found.result == "fail"
    assert "only the beginning" in found.reason


def test_sha_1_proves_nothing(zone: Zone) -> None:
    found = judged(sign(algorithm=b"rsa-sha1"), zone)
    assert (found.result, "SHA-1" in found.reason) == ("fail", True)


@pytest.mark.parametrize(
    ("record", "result", "reason"),
    [
        (None, "permerror", "publishes no key named s1"),
        (f"v=DKIM1; p={RSA_768}", "fail", "768 bits"),
        ("v=DKIM1; p=", "permerror", "has withdrawn the key"),
        ("v=DKIM2; p=abcd", "permerror", "is no key"),
        ("v=DKIM1; p=AAAA", "permerror", "is damaged"),
        ("v=DKIM1; k=dsa; p=AAAA", "permerror", "not known"),
        ("v=DKIM1; k=ed25519; p=" + "A" * 43 + "=", "permerror", "of another kind"),
        ("v=DKIM1; v=DKIM1; p=AAAA", "permerror", "cannot be read"),
        (key_record() + "; s=tlsrpt", "permerror", "not meant for this"),
        (key_record() + "; h=sha1", "permerror", "not meant for this"),
        (key_record() + "; t=y:s", "pass", "Signed by"),
    ],
)
def test_a_key_must_be_fit_for_it(record: str | None, result: str, reason: str) -> None:
    zone = Zone()
    if record is not None:
        zone.txt(f"s1._domainkey.{DOMAIN}", record)
    found = judged(sign(), zone)
    assert found.result == result
    assert reason in found.reason


def test_a_key_that_cannot_be_looked_up_is_no_verdict(zone: Zone) -> None:
    zone.fail(f"s1._domainkey.{DOMAIN}")
    assert judged(sign(), zone).result == "temperror"


def test_a_signature_that_had_ended_when_the_mail_came_does_not_hold(zone: Zone) -> None:
    key = Key("mp1", KeyAlgorithm.ED25519, generate(KeyAlgorithm.ED25519))
    zone.txt(f"mp1._domainkey.{DOMAIN}", record_value(key.algorithm, public_text(key.private)))
    content = sign_ours(MAIL, DOMAIN, [key], at=NOW)
    assert judged(content, zone, at=NOW + timedelta(days=6)).result == "pass"
    found = judged(content, zone, at=NOW + timedelta(days=8))
    assert (found.result, "had expired" in found.reason) == ("fail", True)


@pytest.mark.parametrize(
    "field",
    [
        b"DKIM-Signature: nonsense",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=x.example; s=s; h=from; bh=AAAA; b=",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=..; s=s; h=from; bh=AAAA; b=AAAA",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=x.example; s=" + b"a" * 64 + b"; h=from; bh=AAAA; b=AAAA",
        b"DKIM-Signature: v=2; a=rsa-sha256; d=x.example; s=s; h=from; bh=AAAA; b=AAAA",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=x.example; s=s; h=to; bh=AAAA; b=AAAA",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=x.example; i=@y.example; s=s; h=from; bh=AAAA; b=AAAA",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=x.example; s=s; h=from; bh=AAAA; b=AAAA; x=soon",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=x.example; s=s; h=from; bh=AAAA; b=AAAA; q=http",
        b"DKIM-Signature: \xff\xfe=\x00; ;;=",
    ],
)
def test_what_is_no_signature_is_permerror_and_asks_nobody(zone: Zone, field: bytes) -> None:
    assert judged(field + b"\r\n" + MAIL, zone).result == "permerror"
    assert zone.asked == []


def test_of_several_the_one_that_holds_decides_and_all_are_told(zone: Zone) -> None:
    publish(zone, "forwarder.example")
    content = sign(sign().replace(b"please", b"pay"), "forwarder.example")
    found = judged(content, zone)
    assert found.result == "pass"
    assert {one.domain: one.result for one in found.signatures} == {
        DOMAIN: "fail",
        "forwarder.example": "pass",
    }


def test_an_unsigned_mail_has_none(zone: Zone) -> None:
    assert judged(MAIL, zone).result == "none"


def test_a_thousand_signatures_cost_ten_questions_and_those_of_from_come_first(zone: Zone) -> None:
    others = b"".join(
        b"DKIM-Signature: v=1; a=rsa-sha256; d=n%d.example; s=s; h=from; bh=AAAA; b=AAAA\r\n" % n
        for n in range(99)
    )
    found = judged(others * 10 + sign(), zone)
    assert len(zone.asked) == MAX_SIGNATURES == len(found.signatures)
    assert (found.result, found.signatures[0].domain) == ("pass", DOMAIN)


@pytest.mark.parametrize("body", [b"\r\n", b" ", b"\t\r\n", b" \r\n\r\n x"])
def test_ten_megabytes_of_blanks_are_no_work(zone: Zone, body: bytes) -> None:
    content = MAIL + body * (10_000_000 // len(body)) + b"x\r\n"
    signed = sign_ours(content, DOMAIN, [Key("mp1", KeyAlgorithm.ED25519, _ed25519(zone))], at=NOW)
    started = time.monotonic()
    assert judged(signed, zone).result == "pass"
    assert time.monotonic() - started < 20  # dkimpy would take days


def test_a_header_without_end_is_not_gone_into(zone: Zone) -> None:
    content = b"X-Long: a\r\n" + b" \t\r\n" * MAX_HEADER_BYTES + sign()
    assert judged(content, zone).result == "permerror"


def _ed25519(zone: Zone) -> PrivateKey:
    private = generate(KeyAlgorithm.ED25519)
    zone.txt(f"mp1._domainkey.{DOMAIN}", record_value(KeyAlgorithm.ED25519, public_text(private)))
    return private


_TEXT = st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"a", b";", b"b=", b".", "é".encode()]), max_size=40)


@given(
    body=_TEXT,
    subject=_TEXT,
    forms=st.tuples(st.sampled_from([b"simple", b"relaxed"]), st.sampled_from([b"simple", b"relaxed"])),
    at=st.integers(0, 600),
    change=st.sampled_from([b"", b" ", b"x", b"\r\n"]),
)
@settings(max_examples=40, deadline=None)
def test_we_judge_as_dkimpy_does(
    body: list[bytes], subject: list[bytes], forms: tuple[bytes, bytes], at: int, change: bytes
) -> None:
    zone = Zone()
    publish(zone, DOMAIN)
    line = re.sub(rb"\r\n(?![ \t])|(?:\r\n[ \t]*)+\Z", b"", b"".join(subject))
    line = re.sub(rb"\r\n[ \t]*(?=\r\n)", b"", line)
    signed = sign(MAIL.replace(b"Invoice", line) + b"".join(body) + b"\r\n", forms=forms)
    assert judged(signed, zone).result == "pass"
    at = min(len(signed) - 2, signed.index(b"\r\nFrom: ") + at)
    changed = signed[:at] + change + signed[at:]
    record = key_record().encode()
    try:
        theirs = dkim.verify(changed, dnsfunc=lambda _name, timeout=5: record)
    except Exception:  # noqa: BLE001
        theirs = False
    assert (judged(changed, zone).result == "pass") == theirs


@given(st.binary(max_size=300), st.binary(max_size=300))
@settings(deadline=None)
def test_nothing_raises(field: bytes, rest: bytes) -> None:
    judged(b"DKIM-Signature: v=1; a=rsa-sha256; s=s; " + field + b"\r\n" + rest, Zone())
    judged(rest, Zone())
