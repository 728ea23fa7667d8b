"""Asking the domain name system, with bounds: one cache, a budget for each question, and a breaker for when it is down.

    answer              kept as long as its TTL says; "there is none" too
    no answer at once   the name servers are asked for the root, which they know: silence there means that they are
                        down, nobody asks for a while, and every question fails at once
    no answer in time   this name is not asked again for a moment, and when several beneath one domain got none, nothing
                        beneath it is

So a name server that is silent costs a wait or a few, not one for each of a hundred thousand recipients. A domain
whose own servers are silent stands in nobody else's way, though somebody made its names up by the hundred to have us
wait (mail from strangers names the domains it wants us to ask for).

An answer must say that something does not exist for it to count as not existing: silence, SERVFAIL and a refusal are
trouble of the moment (`NamesUnavailable`), for which mail waits.

Limits: no DNSSEC validation of our own; the name servers' word is taken.
"""

import asyncio
import ipaddress
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TXT import TXT

from apps.names.breaker import Breaker, BreakerPolicy
from apps.names.domains import organisational_domain

# Of names beneath one domain: as many may be silent before the whole domain counts as silent.
SILENT_NAMES = 3
DOWN = "the name servers do not answer"

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
    cached_answers: int = 50_000
    breaker: BreakerPolicy = field(default=BreakerPolicy(trips_after=1, first_rest=5, ceiling=60, probe=10))


@dataclass(frozen=True, slots=True)
class MxRecord:
    preference: int
    host: str


class Resolver:
    """One for a process and its event loop. `name_servers` are (address, port); without any it asks those of the system
    (/etc/resolv.conf).
    """

    def __init__(
        self, name_servers: Sequence[tuple[str, int]] = (), *, policy: ResolverPolicy | None = None
    ) -> None:
        self._policy = policy or ResolverPolicy()
        self._name_servers = list(name_servers)
        self._asker: dns.asyncresolver.Resolver | None = None
        self._breaker = Breaker()
        # Until when, by domain and name.
        self._silent: dict[str, dict[dns.name.Name, float]] = {}
        self._draw = random.SystemRandom().random

    async def mx(self, domain: str) -> list[MxRecord]:
        """The mail exchangers, unordered; [] when the name exists and has none. Raises NoSuchName, NamesUnavailable."""
        return exchangers_in(await self.ask(domain, "MX"))

    async def addresses(self, host: str) -> list[IPAddress]:
        """IPv6 first, then IPv4, following aliases; [] when there is none. Raises NoSuchName, NamesUnavailable."""
        found: list[IPAddress] = []
        trouble: NamesUnavailable | None = None
        for kind in ("AAAA", "A"):
            try:
                found += addresses_in(await self.ask(host, kind))
            except NamesUnavailable as error:
                trouble = error
        if not found and trouble is not None:
            raise trouble
        return found

    async def txt(self, name: str) -> list[str]:
        """The texts, each with its pieces joined. Raises NoSuchName, NamesUnavailable."""
        return texts_in(await self.ask(name, "TXT"))

    def at_once(self, name: str, kind: str) -> dns.resolver.Answer | None:
        """The answer, where no question is needed for it; None where one is. From any thread. Raises like `ask`.

        While the name servers are down, and until `probe` has found them again, nothing is worth a question.
        """
        question = _absolute(name)
        known = _cached(self._ready(), question, kind)
        if known is None:
            self._check_worth_asking(question, name)
            if self.wants_probe():
                raise NamesUnavailable(DOWN)
        elif known.response.rcode() == dns.rcode.NXDOMAIN:
            raise NoSuchName(name)
        return known

    def wants_probe(self) -> bool:
        """The name servers were down, and it is time to look whether they are back. From any thread."""
        now = time.time()
        return self._breaker.is_half_open(now) and self._breaker.blocked_until(now) is None

    async def probe(self) -> None:
        """Look, if nobody else does. So no question has to wait for it."""
        if self.wants_probe():
            self._breaker = self._breaker.probed(time.time(), self._policy.breaker)
            if await self._servers_live(self._ready()):
                self._breaker = self._breaker.worked()
            else:
                self._fail(time.time())

    async def ask(self, name: str, kind: str) -> dns.resolver.Answer:
        """Raises NoSuchName, NamesUnavailable."""
        question = _absolute(name)
        asker = self._ready()
        if _cached(asker, question, kind) is None:
            self._check_worth_asking(question, name)
            if self.wants_probe():
                self._breaker = self._breaker.probed(time.time(), self._policy.breaker)
        try:
            answer = await self._watched(asker, question, kind)
        except dns.resolver.NXDOMAIN as error:
            self._breaker = self._breaker.worked()
            raise NoSuchName(name) from error
        except (dns.resolver.LifetimeTimeout, OSError) as error:
            # Its own servers may be what is silent; ours are not, or they are not down for long.
            self._remember_silence(question, time.time())
            raise NamesUnavailable(f"the name servers did not answer about {name} in time") from error
        except dns.exception.DNSException as error:
            # SERVFAIL, a refusal, nonsense: the name servers live, this name does not resolve at the moment.
            raise NamesUnavailable(f"the name servers could not resolve {name}") from error
        self._breaker = self._breaker.worked()
        return answer

    def _ready(self) -> dns.asyncresolver.Resolver:
        if self._asker is None:
            try:
                asker = dns.asyncresolver.Resolver(configure=not self._name_servers)
            except dns.exception.DNSException as error:
                raise NamesUnavailable("this machine knows no name server") from error
            if self._name_servers:
                asker.nameservers = [dns.nameserver.Do53Nameserver(*one) for one in self._name_servers]
            asker.timeout = self._policy.one_try
            asker.cache = dns.resolver.LRUCache(self._policy.cached_answers)
            self._asker = asker
        return self._asker

    def _check_worth_asking(self, question: dns.name.Name, name: str) -> None:
        now = time.time()
        silent = [one for one, until in self._silent.get(_domain_of(question), {}).items() if until > now]
        if question in silent or len(silent) >= SILENT_NAMES:
            raise NamesUnavailable(f"the name servers did not answer about {name} a moment ago")
        if self._breaker.blocked_until(now) is not None:
            raise NamesUnavailable(DOWN)

    async def _watched(
        self, asker: dns.asyncresolver.Resolver, question: dns.name.Name, kind: str
    ) -> dns.resolver.Answer:
        """The answer; while it does not come, a look whether anybody is there at all."""
        asking = asyncio.ensure_future(
            asker.resolve(
                question, kind, search=False, raise_on_no_answer=False, lifetime=self._policy.question
            )
        )
        try:
            await asyncio.wait({asking}, timeout=self._policy.one_try)
            if not asking.done() and not await self._servers_live(asker):
                self._fail(time.time())
                raise NamesUnavailable(DOWN)
            return await asking
        finally:
            asking.cancel()

    def _fail(self, now: float) -> None:
        self._breaker = self._breaker.failed("", now, self._policy.breaker, self._draw())

    def _remember_silence(self, question: dns.name.Name, now: float) -> None:
        domains = {
            domain: {one: until for one, until in names.items() if until > now}
            for domain, names in self._silent.items()
        }
        domains.setdefault(_domain_of(question), {})[question] = now + self._policy.silence
        # Replaced, not changed: `at_once` reads it from other threads.
        self._silent = {domain: names for domain, names in domains.items() if names}

    async def _servers_live(self, asker: dns.asyncresolver.Resolver) -> bool:
        """Whether any of the name servers says anything at all about the root, which they need nobody for. All are
        asked at once, or one that is down would speak for those that are not.
        """
        looks = [asyncio.ensure_future(self._lives(server)) for server in asker.nameservers]
        try:
            for look in asyncio.as_completed(looks):
                if await look:
                    return True
            return False
        finally:
            for look in looks:
                look.cancel()

    async def _lives(self, server: str | dns.nameserver.Nameserver) -> bool:
        probe = dns.asyncresolver.Resolver(configure=False)
        probe.nameservers = [server]
        probe.timeout = self._policy.one_try / 2  # a packet may be lost
        try:
            await probe.resolve(dns.name.root, "NS", search=False, lifetime=self._policy.one_try)
        except (dns.resolver.LifetimeTimeout, OSError):
            return False
        except dns.exception.DNSException:
            return True
        return True


def texts_in(answer: dns.resolver.Answer) -> list[str]:
    """Each record's strings joined without a space (RFC 7208 §3.3, RFC 6376 §3.6.2.2)."""
    return [
        b"".join(record.strings).decode("utf-8", "replace") for record in answer if isinstance(record, TXT)
    ]


def addresses_in(answer: dns.resolver.Answer) -> list[IPAddress]:
    return [ipaddress.ip_address(str(record)) for record in answer]


def exchangers_in(answer: dns.resolver.Answer) -> list[MxRecord]:
    return [
        MxRecord(record.preference, record.exchange.to_text(omit_final_dot=True).lower())
        for record in answer
        if isinstance(record, MX)
    ]


def pointers_in(answer: dns.resolver.Answer) -> list[str]:
    return [record.target.to_text(omit_final_dot=True) for record in answer if isinstance(record, PTR)]


def _cached(
    asker: dns.asyncresolver.Resolver, question: dns.name.Name, kind: str
) -> dns.resolver.Answer | None:
    """What was answered before holds while the name servers are away."""
    if asker.cache is None:
        return None
    # ANY: dnspython's mark of NXDOMAIN
    for known_as in (dns.rdatatype.from_text(kind), dns.rdatatype.ANY):
        answer: dns.resolver.Answer | None = asker.cache.get((question, known_as, dns.rdataclass.IN))
        if answer is not None:
            return answer
    return None


def _absolute(name: str) -> dns.name.Name:
    try:
        return dns.name.from_text(name, dns.name.root)
    except dns.exception.DNSException as error:
        raise NoSuchName(name) from error


def _domain_of(question: dns.name.Name) -> str:
    return organisational_domain(question.to_text(omit_final_dot=True).lower())
