"""What DNS says, for checks a person waits for: an answer, nothing there, or trouble, and never one taken for another.

“There is no such record” is an answer and comes as an empty list. A name server that is silent, broken or unreachable
is DnsTrouble: whoever asks must then say “could not be checked”, for to tell somebody whose records are right that they
are missing sends them to break what works.

Every question of a `Dns` shares its cache, so that five checks that need the same TXT records ask once.

Limits: no DNSSEC validation of our own; the resolver's word is taken. Nothing is kept between two checks, because a
person who has just changed a record wants to see it, though the resolver asked may itself remember the old one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

QUESTION_SECONDS = 3.0
MAX_QUESTIONS = 60

Address = IPv4Address | IPv6Address


class DnsTrouble(Exception):
    """DNS gave no answer; the text says what happened, in words that may be shown."""


class Dns(Protocol):
    """What the checks ask. Names are ASCII without a final dot. Each raises DnsTrouble."""

    async def txt(self, name: str) -> list[str]: ...

    async def mx(self, name: str) -> list[tuple[int, str]]: ...

    async def addresses(self, name: str) -> list[Address]: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class NameServer:
    """Whom to ask in place of the system's resolver."""

    address: str
    port: int = 53


class SystemDns:
    """DNS through the system's resolver, or through `servers` where some are given. Made anew for each check."""

    def __init__(self, servers: Sequence[NameServer] = ()) -> None:
        self._servers = servers
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._asked: dict[tuple[str, str], asyncio.Task[dns.resolver.Answer | None]] = {}

    async def txt(self, name: str) -> list[str]:
        """Each record's strings joined without a space (RFC 7208 §3.3, RFC 6376 §3.6.2.2)."""
        records = [record for record in await self._ask(name, "TXT") if isinstance(record, TXT)]
        return [b"".join(record.strings).decode("utf-8", "replace") for record in records]

    async def mx(self, name: str) -> list[tuple[int, str]]:
        """Preference and host, the preferred first; a null MX (RFC 7505) has the host ""."""
        records = [record for record in await self._ask(name, "MX") if isinstance(record, MX)]
        return sorted(
            (one.preference, one.exchange.to_text(omit_final_dot=True).lower().strip(".")) for one in records
        )

    async def addresses(self, name: str) -> list[Address]:
        """IPv4 and IPv6."""
        both = await asyncio.gather(self._ask(name, "A"), self._ask(name, "AAAA"))
        return [ip_address(str(record)) for records in both for record in records]

    async def close(self) -> None:
        """Give up the questions that nobody waits for any more, and forget the answers."""
        asked, self._asked = list(self._asked.values()), {}
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    async def _ask(self, name: str, kind: str) -> list[object]:
        if (name, kind) not in self._asked:
            if len(self._asked) >= MAX_QUESTIONS:
                raise DnsTrouble("too many questions were needed")
            self._asked[name, kind] = asyncio.ensure_future(self._resolve(name, kind))
        # Shielded: a check that runs out of time must not take the answer from the others.
        answer = await asyncio.shield(self._asked[name, kind])
        return list(answer) if answer is not None else []

    async def _resolve(self, name: str, kind: str) -> dns.resolver.Answer | None:
        try:
            absolute = dns.name.from_text(name)
            return await self._configured().resolve(
                absolute, kind, raise_on_no_answer=False, lifetime=QUESTION_SECONDS
            )
        except dns.resolver.NXDOMAIN:
            return None
        except dns.exception.Timeout as error:
            raise DnsTrouble("the name servers did not answer in time") from error
        except dns.resolver.NoNameservers as error:
            raise DnsTrouble("the name servers answered with an error") from error
        except (dns.resolver.NoResolverConfiguration, OSError) as error:
            raise DnsTrouble("this machine has no working DNS") from error
        except dns.exception.DNSException as error:
            raise DnsTrouble(f"the question about {name} cannot be asked") from error

    def _configured(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            resolver = dns.asyncresolver.Resolver(configure=not self._servers)
            if self._servers:
                resolver.nameservers = [one.address for one in self._servers]
                resolver.nameserver_ports = {one.address: one.port for one in self._servers}
            resolver.timeout = QUESTION_SECONDS / 2
            self._resolver = resolver
        return self._resolver
