"""Who sent a received mail, asked after our 250 and with no transaction open: `mailauth` with what SMTP told.

One cache and one breaker for the process's questions to DNS. All questions about one mail take `BUDGET_SECONDS` at
most; while the name servers are down they take nothing. Then the mail is filed all the same, with `temperror`: DNS
trouble is no verdict, and no reason to wait. Nor does one mail's make others wait: half of the threads at most wait for
slow names at a time, so that a stranger who sends mail from a hundred slow domains does not stop everybody's.

A crash here leaves the row leased, and it comes again; what is asked twice is in the cache.

Limits: what was `temperror` stays so until somebody asks again (`reingest`); by then its domain may have changed its
keys. Of mail that a machine in SMTP_TRUSTED_NETWORKS brought it is not known where it was sent from, unless that
machine tells with the PROXY protocol: SPF is `none` then, and DMARC must do with DKIM.
"""

import functools
import os
from ipaddress import ip_address

import structlog
from django.conf import settings

from apps.inbound.models import ReceivedMessage
from apps.mailauth.check import Arrival, Place, check
from apps.mailauth.results import TEMPERROR, Authentication, unchecked
from apps.mime.message import ParsedMessage
from apps.names.asking import SharedNames
from apps.names.breaker import BreakerPolicy
from apps.names.resolver import Resolver, ResolverPolicy

log = structlog.get_logger(__name__)

BUDGET_SECONDS = 5.0
NOT_EVALUATED = "It could not be evaluated, for a reason that lies with us."

# A stranger's name server may be as slow as he likes: less patience than for our own mail on its way out.
_PATIENCE = ResolverPolicy(
    question=3.0,
    one_try=1.0,
    silence=60,
    cached_answers=10_000,
    breaker=BreakerPolicy(trips_after=1, first_rest=5, ceiling=60, probe=10),
)


def authenticate(
    received: ReceivedMessage, raw: bytes, parsed: ParsedMessage, names: SharedNames | None = None
) -> Authentication:
    """Never raises. Call it outside any transaction."""
    arrival = Arrival(
        address=_client(received),
        helo=received.helo,
        sender=received.envelope_sender,
        shown_from=parsed.sender.address,
        at=received.received_at,
    )
    place = Place(settings.MAIL_HOSTNAME or "localhost", frozenset(settings.ARC_TRUSTED_SEALERS))
    try:
        return check(raw, arrival, (names or usual_names()).within(BUDGET_SECONDS), place)
    except Exception:
        # A mail that provokes this must be filed all the same, and nothing may be concluded from it.
        log.exception("authentication_failed", received=str(received.pk))
        return unchecked(TEMPERROR, NOT_EVALUATED)


def _client(received: ReceivedMessage) -> str:
    """The address of who brought it; "" where that says nothing about where the mail comes from."""
    if not received.peer:
        return ""
    address = ip_address(received.peer)
    trusted = any(
        address in network for network in settings.SMTP_TRUSTED_NETWORKS if network.version == address.version
    )
    return "" if trusted else received.peer


@functools.cache
def usual_names() -> SharedNames:
    """This process's own, over the name servers of the settings."""
    resolver = Resolver(settings.DNS_SERVERS, policy=_PATIENCE)
    return SharedNames(resolver, long_waits=max(1, settings.WORKER_THREADS // 2))


# A forked child has none of its parent's threads.
os.register_at_fork(after_in_child=usual_names.cache_clear)
