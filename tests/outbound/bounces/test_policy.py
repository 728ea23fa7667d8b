"""What kind of failure it is, and what follows for the address."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.outbound.bounces.policy import DEFAULT_SUPPRESSION_POLICY, Nature, nature_of

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "diagnostic", "nature"),
    [
        ("5.1.1", "550 5.1.1 <a@b.example>: Recipient address rejected: User unknown", "no_such_address"),
        ("5.1.1", "550-5.1.1 The email account that you tried to reach does not exist.", "no_such_address"),
        ("5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by lookup", "no_such_address"),
        ("5.0.0", "554 delivery error: dd This user doesn't have a yahoo.com account (a@yahoo.com)", "no_such_address"),
        ("5.1.2", "", "no_such_domain"),
        ("4.0.0", "DNS Error: DNS type 'mx' lookup of gmal.example responded with code NXDOMAIN", "no_such_domain"),
        ("5.4.4", "Host or domain name not found. Name service error for name=x.example", "no_such_domain"),
        ("5.2.1", "550 5.2.1 The email account that you tried to reach is disabled.", "address_closed"),
        ("5.2.1", "", "address_closed"),
        ("5.2.2", "", "mailbox_full"),
        ("5.1.1", "552 5.2.2 Over quota", "mailbox_full"),
        ("4.2.2", "452-4.2.2 The email account that you tried to reach is over quota", "mailbox_full"),
        ("5.2.1", "550-5.2.1 The user you try to contact is receiving mail at a rate that prevents", "rate_limited"),
        ("5.1.1", "550 5.1.1 <a@b.example> - 192.0.2.1 has sent to too many recipients this hour", "rate_limited"),
        ("5.7.1", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", "blocked"),
        ("5.7.1", "", "blocked"),
        ("5.7.26", "550-5.7.26 This mail has been blocked because it is unauthenticated. SPF", "sender_refused"),
        ("5.7.509", "Access denied, sending domain [X] does not pass DMARC verification", "sender_refused"),
        ("5.1.1", "550 5.1.1 User unknown. See https://x.example/policy/spam", "no_such_address"),
        ("5.3.4", "552 5.3.4 Message size exceeds fixed limit", "too_large"),
        ("5.4.6", "", "loop"),
        ("4.4.7", "Message expired: unable to deliver in 840 minutes", "tried_in_vain"),
        ("4.4.1", "connect to mx.x.example[192.0.2.1]:25: Connection timed out", "tried_in_vain"),
        ("5.0.0", "550 Rejected", "unknown"),
        ("", "", "unknown"),
    ],
)  # fmt: skip
def test_a_failure_is_known_by_its_words_and_status(status: str, diagnostic: str, nature: str) -> None:
    assert nature_of(status, diagnostic) == nature


def test_only_an_address_that_is_not_there_is_suppressed_at_once() -> None:
    needed = {nature: DEFAULT_SUPPRESSION_POLICY.bounces_needed(nature) for nature in Nature}
    assert [nature for nature, bounces in needed.items() if bounces == 1] == [
        Nature.NO_SUCH_ADDRESS,
        Nature.NO_SUCH_DOMAIN,
        Nature.CLOSED,
    ]
    assert [nature for nature, bounces in needed.items() if bounces == 3] == [Nature.UNKNOWN]


def test_each_suppression_of_an_address_holds_longer_up_to_a_year() -> None:
    days = [
        (DEFAULT_SUPPRESSION_POLICY.holds_until(NOW, earlier=n) - NOW) // timedelta(days=1)
        for n in (0, 1, 2, 3, 1000)
    ]
    assert days == [90, 180, 360, 360, 360]
