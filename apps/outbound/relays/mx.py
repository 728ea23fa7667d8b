"""Where a domain's mail goes (RFC 5321 §5.1): its servers in the order in which they are asked, with their addresses.

    literal        user@[192.0.2.1]: that address
    MX records     by preference, those of equal preference in random order
    null MX        "." alone: the domain takes no mail, for good (RFC 7505)
    no MX          the domain's own addresses (RFC 5321 §5.1, "implicit MX")
    nothing        the domain cannot get mail, for good

Only what the domain name system states is final: as long as one of the names could not be looked up, the mail waits.
Servers with addresses of private networks are left out, unless the relay allows them; where nothing else is left, the
mail waits and says so, for that may be a slip of our own DNS as well as of theirs.
"""

import ipaddress
import random
from collections.abc import Iterable
from dataclasses import dataclass

from apps.names.public_addresses import is_public
from apps.names.resolver import IPAddress, MxRecord, NamesUnavailable, NoSuchName, Resolver
from apps.outbound.errors import RelayRefused, RelayUnavailable

ADDRESSES_PER_SERVER = 4
SERVERS_LOOKED_UP = 10


@dataclass(frozen=True, slots=True)
class MailServer:
    """One server: the name its certificate must bear, and the addresses it is reached at."""

    host: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What looking all names up came to."""

    servers: tuple[MailServer, ...]
    private: tuple[str, ...]
    trouble: NamesUnavailable | None


async def mail_servers(
    domain: str, resolver: Resolver, chance: random.Random, *, allow_private: bool
) -> list[MailServer]:
    """A domain's servers, best first; never empty.

    Raises RelayRefused (permanent) for a domain that takes no mail, RelayUnavailable while that cannot be told.
    """
    literal = _literal(domain)
    if literal is not None:
        found = _sift([(domain, [literal])], None, allow_private=allow_private)
    else:
        hosts = await _hosts(domain, resolver, chance)
        found = await _look_up(hosts, resolver, allow_private=allow_private)
    if found.servers:
        return list(found.servers)
    if found.trouble is not None:
        raise _unavailable(f"the mail servers of {domain} cannot be looked up: {found.trouble}")
    if found.private:
        raise _unavailable(
            f"the mail servers of {domain} have addresses of private networks only ({', '.join(found.private)})"
        )
    # RFC 3463 §3.2, X.1.2: the destination does not exist or cannot take mail.
    raise _refused(550, "5.1.2", f"{domain} has no mail server")


def ordered(records: Iterable[MxRecord], chance: random.Random) -> list[str]:
    """RFC 5321 §5.1: by preference, and those of equal preference in random order to spread the load."""
    drawn = sorted((record.preference, chance.random(), record.host) for record in records)
    return list(dict.fromkeys(host for _preference, _draw, host in drawn))


async def _hosts(domain: str, resolver: Resolver, chance: random.Random) -> list[str]:
    try:
        records = await resolver.mx(domain)
    except NoSuchName as error:
        raise _refused(550, "5.1.2", f"there is no domain {domain}") from error
    except NamesUnavailable as error:
        raise _unavailable(f"the mail servers of {domain} cannot be looked up: {error}") from error
    if not records:
        return [domain]
    usable = [record for record in records if record.host not in {"", "."}]
    if not usable:
        # RFC 7505 §4: "MUST NOT attempt delivery"; codes of §4 and RFC 7504.
        raise _refused(556, "5.1.10", f"{domain} says that it takes no mail (null MX)")
    return ordered(usable, chance)[:SERVERS_LOOKED_UP]


async def _look_up(hosts: list[str], resolver: Resolver, *, allow_private: bool) -> _Found:
    looked_up: list[tuple[str, list[IPAddress]]] = []
    trouble: NamesUnavailable | None = None
    for host in hosts:
        try:
            looked_up.append((host, await resolver.addresses(host)))
        except NoSuchName:
            continue
        except NamesUnavailable as error:
            trouble = error
    return _sift(looked_up, trouble, allow_private=allow_private)


def _sift(
    looked_up: list[tuple[str, list[IPAddress]]], trouble: NamesUnavailable | None, *, allow_private: bool
) -> _Found:
    servers, private = [], []
    for host, addresses in looked_up:
        allowed = [address for address in addresses if allow_private or is_public(address)]
        private += [str(address) for address in addresses if address not in allowed]
        if allowed:
            servers.append(MailServer(host, tuple(map(str, allowed[:ADDRESSES_PER_SERVER]))))
    return _Found(tuple(servers), tuple(private[:3]), trouble)


def _literal(domain: str) -> IPAddress | None:
    """RFC 5321 §4.1.3, as `mime.address` writes it."""
    if not domain.startswith("["):
        return None
    return ipaddress.ip_address(domain[1:-1].removeprefix("ipv6:").removeprefix("IPv6:"))


def _refused(code: int, enhanced: str, why: str) -> RelayRefused:
    return RelayRefused("rcpt", f"{code} {enhanced} {why}", code=code, enhanced=enhanced, by_destination=True)


def _unavailable(why: str) -> RelayUnavailable:
    return RelayUnavailable("dns", why, by_destination=True)
