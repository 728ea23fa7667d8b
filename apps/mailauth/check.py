"""Who sent this mail? SPF, DKIM, ARC and DMARC together, in one budget of questions.

What could speak for From is asked first: its policy and the keys at once, before any of them is waited for, and SPF
before DKIM where the envelope is of that domain. A stranger who adds names of his own that answer slowly wastes what is
left of the budget for himself, and does not turn the forgery's failure into “could not be looked up”.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.mailauth import dmarc as policies
from apps.mailauth.arc import ArcChain
from apps.mailauth.dkim import DkimSignatures
from apps.mailauth.results import NONE, Authentication, SpfResult, results_text
from apps.mailauth.signature import SignedMessage
from apps.mailauth.spf import check_spf
from apps.mime.address import parse_addresses
from apps.names.asking import Names
from apps.names.domains import ascii_domain, organisational_domain

NOT_FROM_OUTSIDE = "It came over a trusted network, which says nothing about where it was sent from."
MAX_FROM_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """How the mail came. `address` is "" where no client of the open Internet brought it; `sender` is MAIL FROM without
    brackets, "" for `<>`. `shown_from` is the address that people see as its writer's. `at` is when we took custody.
    """

    address: str
    helo: str
    sender: str
    shown_from: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """Who asks: our own name (RFC 8601's authserv-id), and the sealers (RFC 8617) whose word counts here."""

    hostname: str
    trusted_sealers: Collection[str] = ()


def check(raw: bytes, arrival: Arrival, names: Names, place: Place) -> Authentication:
    """Linear in the message, and as long as `names` allows. Never raises for what the mail or DNS says."""
    message = SignedMessage(raw)
    from_domains = domains_of_from(message, arrival.shown_from)
    signatures = DkimSignatures(message, from_domains)
    chain = ArcChain(message)
    names.ahead(*(name for domain in from_domains for name in policies.record_names(domain)))
    names.ahead(*signatures.record_names)
    spf = _spf(arrival, names, place) if _speaks_for(from_domains, arrival) else None
    dkim = signatures.check(names, now=arrival.at)
    spf = spf or _spf(arrival, names, place)
    dmarc = policies.check_dmarc(from_domains, spf, dkim, names, sample=raw[:4096])
    names.ahead(*chain.record_names)
    arc = chain.check(names, trusted=place.trusted_sealers, from_domains=from_domains)
    dmarc = policies.overridden(dmarc, arc.vouched_by)
    return Authentication(spf, dkim, dmarc, arc, results_text(place.hostname, spf, dkim, dmarc, arc))


def domains_of_from(message: SignedMessage, shown: str) -> Sequence[str]:
    """Each domain that any From names, and the one that is shown, in ASCII. More than DMARC takes are cut off there."""
    written = [
        field.value.decode("utf-8", "replace")[:MAX_FROM_CHARS] for field in message.named("from")[:10]
    ]
    addresses = [shown, *(one.address for value in written for one in parse_addresses(value, limit=20))]
    found = (ascii_domain(address.rpartition("@")[2]) for address in addresses)
    return list(dict.fromkeys(domain for domain in found if domain))


def _speaks_for(from_domains: Sequence[str], arrival: Arrival) -> bool:
    envelope = organisational_domain(ascii_domain((arrival.sender or f"@{arrival.helo}").rpartition("@")[2]))
    return envelope in {organisational_domain(domain) for domain in from_domains}


def _spf(arrival: Arrival, names: Names, place: Place) -> SpfResult:
    if not arrival.address:
        return SpfResult(NONE, NOT_FROM_OUTSIDE)
    return check_spf(arrival.address, arrival.helo, arrival.sender, names, receiver=place.hostname)
