"""Which addresses a stranger's DNS may send us to. Names are theirs; what stands in our own network is ours.

Without this, whoever publishes an MX record of 127.0.0.1, 10.0.0.5 or 169.254.169.254 makes a worker of ours talk to
what only it can reach, and read the answer in a bounce. Addresses are checked after they were looked up, and the
checked ones are what is connected to.
"""

import ipaddress

from apps.outbound.relays.resolver import IPAddress

# RFC 6052 §2.1 (NAT64) and RFC 3056 (6to4): IPv6 that leads to the IPv4 address it carries.
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def is_public(address: IPAddress) -> bool:
    """Whether it is an address of the internet: no loopback, private, link-local, shared (RFC 6598), multicast or
    reserved one, also not dressed up as IPv6.
    """
    return all(one.is_global and not one.is_multicast for one in (address, *_carried(address)))


def _carried(address: IPAddress) -> list[IPAddress]:
    """The IPv4 addresses that packets to an IPv6 address may end at."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    carried: list[IPAddress] = [one for one in (address.ipv4_mapped, address.sixtofour) if one is not None]
    if address.teredo is not None:
        carried.append(address.teredo[1])
    if any(address in network for network in _NAT64):
        carried.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return carried
