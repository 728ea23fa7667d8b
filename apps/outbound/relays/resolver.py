"""Asking the domain name system, with bounds: one cache, a budget for each question, and a breaker for when it is down.

    answer              kept as long as its TTL says; "there is none" too
    no answer in time   this name is not asked again for a moment; when several names in a row get none, the name
                        servers are taken to be down, nobody asks for a while, and every question fails at once

So a name server that is silent costs a handful of waits, not one for each of a hundred thousand recipients; and one
domain whose own servers are silent stands in nobody else's way.

An answer must say that something does not exist for it to count as not existing: silence, SERVFAIL and a refusal are
trouble of the moment (`NamesUnavailable`), for which mail waits.
"""

import ipaddress
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

from apps.outbound.relays.breaker import Breaker, BreakerPolicy

CACHED_ANSWERS = 50_000

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class NoSuchName(Exception):
    """The domain name system says that the name does not exist (NXDOMAIN)."""


class NamesUnavailable(Exception):
    """Nobody can tell just now; the text says why."""


@dataclass(frozen=True, slots=True)
class ResolverPolicy:
    """Times in seconds. `question` is for one question, with all tries at all name servers."""

    question: float = 8
    one_try: float = 3
    silence: float = 15
    breaker: BreakerPolicy = field(default=BreakerPolicy(trips_after=4, first_rest=5, ceiling=60, probe=10))


@dataclass(frozen=True, slots=True)
class MxRecord:
    preference: int
    host: str


class Resolver:
    """One for a process. Without name servers of its own it asks those of the system (/etc/resolv.conf)."""

    def __init__(
        self,
        name_servers: Sequence[str] = (),
        *,
        port: int = 53,
        policy: ResolverPolicy | None = None,
    ) -> None:
        self._policy = policy or ResolverPolicy()
        self._name_servers = list(name_servers)
        self._port = port
        self._asker: dns.asyncresolver.Resolver | None = None
        self._breaker = Breaker()
        self._silent: dict[dns.name.Name, float] = {}
        self._draw = random.SystemRandom().random

    async def mx(self, domain: str) -> list[MxRecord]:
        """The mail exchangers, unordered; [] when the name exists and has none. Raises NoSuchName, NamesUnavailable."""
        answer = await self._ask(domain, "MX")
        return [
            MxRecord(record.preference, record.exchange.to_text(omit_final_dot=True).lower())
            for record in answer
            if isinstance(record, MX)
        ]

    async def addresses(self, host: str) -> list[IPAddress]:
        """IPv6 first, then IPv4, following aliases; [] when there is none. Raises NoSuchName, NamesUnavailable."""
        found: list[IPAddress] = []
        trouble: NamesUnavailable | None = None
        for kind in ("AAAA", "A"):
            try:
                found += [ipaddress.ip_address(str(record)) for record in await self._ask(host, kind)]
            except NamesUnavailable as error:
                trouble = error
        if not found and trouble is not None:
            raise trouble
        return found

    async def txt(self, name: str) -> list[str]:
        """The texts, each with its pieces joined. Raises NoSuchName, NamesUnavailable."""
        return [
            b"".join(record.strings).decode("utf-8", "replace")
            for record in await self._ask(name, "TXT")
            if isinstance(record, TXT)
        ]

    async def _ask(self, name: str, kind: str) -> dns.resolver.Answer:
        question = _absolute(name)
        asker = self._ready()
        if not _is_cached(asker, question, kind):
            self._check_worth_asking(question, name)
        try:
            answer = await asker.resolve(
                question, kind, search=False, raise_on_no_answer=False, lifetime=self._policy.question
            )
        except dns.resolver.NXDOMAIN as error:
            self._breaker = self._breaker.worked()
            raise NoSuchName(name) from error
        except (dns.resolver.LifetimeTimeout, OSError) as error:
            raise self._silence(question, name) from error
        except dns.exception.DNSException as error:
            # SERVFAIL, a refusal, nonsense: the name servers live, this name does not resolve at the moment.
            raise NamesUnavailable(f"the name servers could not resolve {name}") from error
        self._breaker = self._breaker.worked()
        self._silent.pop(question, None)
        return answer

    def _ready(self) -> dns.asyncresolver.Resolver:
        if self._asker is None:
            try:
                asker = dns.asyncresolver.Resolver(configure=not self._name_servers)
            except dns.exception.DNSException as error:
                raise NamesUnavailable("this machine knows no name server") from error
            if self._name_servers:
                asker.nameservers = list(self._name_servers)
                asker.port = self._port
            asker.timeout = self._policy.one_try
            asker.cache = dns.resolver.LRUCache(CACHED_ANSWERS)
            self._asker = asker
        return self._asker

    def _check_worth_asking(self, question: dns.name.Name, name: str) -> None:
        now = time.time()
        if self._silent.get(question, 0) > now:
            raise NamesUnavailable(f"the name servers did not answer about {name} a moment ago")
        if self._breaker.blocked_until(now) is not None:
            raise NamesUnavailable("the name servers do not answer")
        if self._breaker.is_half_open(now):
            self._breaker = self._breaker.probed(now, self._policy.breaker)

    def _silence(self, question: dns.name.Name, name: str) -> NamesUnavailable:
        now = time.time()
        if self._silent.get(question, 0) <= now:
            # One name counts once: its own servers may be what is silent.
            self._breaker = self._breaker.failed(name, now, self._policy.breaker, self._draw())
        self._silent = {one: until for one, until in self._silent.items() if until > now}
        self._silent[question] = now + self._policy.silence
        return NamesUnavailable(f"the name servers did not answer about {name} in time")


def _is_cached(asker: dns.asyncresolver.Resolver, question: dns.name.Name, kind: str) -> bool:
    """What was answered before holds while the name servers are away."""
    if asker.cache is None:
        return False
    return any(
        asker.cache.get((question, known_as, dns.rdataclass.IN)) is not None
        for known_as in (
            dns.rdatatype.from_text(kind),
            dns.rdatatype.ANY,
        )  # ANY: dnspython's mark of NXDOMAIN
    )


def _absolute(name: str) -> dns.name.Name:
    try:
        return dns.name.from_text(name, dns.name.root)
    except dns.exception.DNSException as error:
        raise NoSuchName(name) from error
