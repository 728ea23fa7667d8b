"""What follows from what DNS says: a domain is proven, a key begins to sign, an old one retires.

    look      without a transaction; DNS may take seconds
    prove     the claim whose token was seen
    activate  pending keys whose records were seen to be right: from the next message on they sign

Done when a person asks for a check, and by a clock for everything that waits. Each step is one conditional change, so
two who look at the same time do no harm; a crash between them leaves the rest to the next look.

Limits: the clock looks at `AT_ONCE` waiting things a tick, those that waited least long first, and leaves alone what
has waited for more than `PATIENCE`: a person's check takes it up again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from asgiref.sync import async_to_sync
from django.conf import settings
from django.db.models import Exists, OuterRef, Q

from apps.accounts.principal import Principal
from apps.mailboxes.domains import add_domain, mark_verified
from apps.mailboxes.errors import DomainClaimed
from apps.mailboxes.models import Domain
from apps.outbound.domains.checks import check_records
from apps.outbound.domains.findings import Finding, Record, Verdict
from apps.outbound.domains.records import Place, mta_sts_policy, records_to_publish
from apps.outbound.domains.resolver import Dns, NameServer, SystemDns
from apps.outbound.errors import NotPossibleNow
from apps.outbound.models import KeyState, Relay, SigningKey
from apps.outbound.signing.rotation import activate, create_keys, keys_of_domain, note_seen

log = structlog.get_logger(__name__)

AT_ONCE = 20
PATIENCE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Setup:
    """A domain with what it should publish. `findings` are None until somebody has looked."""

    domain: Domain
    keys: list[SigningKey]
    records: list[Record]
    mta_sts_policy: str
    findings: list[Finding] | None = None


def claim_domain(principal: Principal, name: str, now: datetime) -> Domain:
    """A domain with its first keys, both waiting for their records. Raises what `add_domain` raises.

    A crash between the two leaves a domain without keys, for which its page offers to make them.
    """
    domain = add_domain(principal, name)
    create_keys(domain, now, actor=principal.actor)
    return domain


def setup_of(domain: Domain) -> Setup:
    """What to publish; nobody is asked."""
    keys, place = list(keys_of_domain(domain)), place_of(domain)
    return Setup(domain, keys, records_to_publish(domain, keys, place), mta_sts_policy(place))


def check_domain(domain: Domain, now: datetime, *, dns: Dns | None = None) -> Setup:
    """Look in DNS, act on what was found, and tell both. Takes up to five seconds."""
    setup = setup_of(domain)
    findings = look(setup.records, place_of(domain), dns or system_dns())
    _act(setup, findings, now)
    domain.refresh_from_db()
    after = setup_of(domain)
    return Setup(domain, after.keys, after.records, after.mta_sts_policy, findings)


def tend(now: datetime, *, dns: Dns | None = None) -> int:
    """One look at what waits for its record to appear; how many things changed."""
    changed = 0
    for domain in _waiting(now):
        setup = setup_of(domain)
        pending = {key.selector for key in setup.keys if key.state == KeyState.PENDING}
        records = [one for one in setup.records if one.code == "verify" or one.selector in pending]
        findings = look(records, place_of(domain), dns or system_dns())
        changed += _act(setup, findings, now)
    return changed


def look(records: Sequence[Record], place: Place, dns: Dns) -> list[Finding]:
    """`check_records` for callers without an event loop of their own."""

    async def look_and_leave() -> list[Finding]:
        try:
            return await check_records(records, place, dns)
        finally:
            await dns.close()

    return async_to_sync(look_and_leave)()


def _waiting(now: datetime) -> list[Domain]:
    young = now - PATIENCE
    pending = SigningKey.objects.filter(domain=OuterRef("pk"), state=KeyState.PENDING, created_at__gt=young)
    waits = Q(verified_at__isnull=True, created_at__gt=young) | Q(Exists(pending))
    return list(Domain.objects.filter(waits).order_by("-created_at")[:AT_ONCE])


def _act(setup: Setup, findings: Sequence[Finding], now: datetime) -> int:
    good = [finding.record for finding in findings if finding.verdict == Verdict.OK]
    changed = 0
    if any(record.code == "verify" for record in good) and not setup.domain.is_verified:
        changed += _prove(setup.domain, now)
    selectors = {record.selector for record in good if record.code == "dkim"}
    seen = [key for key in setup.keys if key.selector in selectors]
    note_seen(seen, now)
    for key in seen:
        if key.state == KeyState.PENDING:
            changed += _begin_to_sign(key, now)
    return changed


def _prove(domain: Domain, now: datetime) -> int:
    try:
        return int(mark_verified(domain, now, because="dns"))
    except DomainClaimed:
        log.warning("domain_proven_twice", domain=str(domain.pk))
        return 0


def _begin_to_sign(key: SigningKey, now: datetime) -> int:
    try:
        activate(key, now, because="dns")
    except NotPossibleNow:
        return 0  # somebody else was quicker
    return 1


def place_of(domain: Domain) -> Place:
    """How this domain's mail leaves, and where it comes in."""
    relays = Relay.objects.filter(
        Q(organisation=domain.organisation_id) | Q(organisation__isnull=True),
        is_active=True,
        removed_at__isnull=True,
    ).order_by("priority", "name")
    return Place(
        mail_host=settings.MAIL_HOSTNAME,
        return_path_domain=settings.RETURN_PATH_DOMAIN,
        # A direct relay has no host: it sends from our own.
        relay_hosts=tuple(relay.host for relay in relays if relay.serves_sender(domain.name)),
    )


def policy_for(host: str) -> str:
    """The MTA-STS policy a host such as `mta-sts.example.org` serves; "" where there is none to serve."""
    name = host.lower().removeprefix("mta-sts.")
    domain = Domain.objects.filter(name=name, verified_at__isnull=False).first()
    return mta_sts_policy(place_of(domain)) if name != host.lower() and domain is not None else ""


def system_dns() -> SystemDns:
    """The resolver of the settings; a new one for each check, with a cache of its own."""
    return SystemDns([NameServer(address, port) for address, port in settings.DNS_SERVERS])
