"""The guard against server-side request forgery: which addresses a stranger's URL may make us talk to.

A webhook's URL is chosen by a customer and fetched by a server that stands next to databases and a cloud's metadata
service. Names prove nothing: `localtest.me`, `0x7f.1` and `[::ffff:10.0.0.1]` all lead inside, and a name may resolve
to something else each time it is asked. So the addresses themselves are checked, all of them, at the moment the socket
is opened, and the socket goes to one that was checked (`connection.py`).

The tables are IANA's special-purpose registries (RFC 6890 and later) rather than Python's `is_global`, whose answer
depends on its patch version and calls multicast global. An operator may allow networks of their own by
WEBHOOK_ALLOWED_NETWORKS.

Limits: a public address of this very installation is public. Whoever runs it behind one should not rely on being
unreachable from the inside.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from apps.webhooks.errors import AddressForbidden

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_FORBIDDEN_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # shared by carriers (RFC 6598); Alibaba's metadata service lives here
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's own services: a public address that is not
        "169.254.0.0/16",  # link-local; metadata services of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# RFC 4291 §2.4: all global unicast lies in 2000::/3; everything else (loopback, link-local, unique local, multicast,
# mapped and compatible addresses) is refused by not lying in it.
_UNICAST_V6 = IPv6Network("2000::/3")
_FORBIDDEN_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: leads to an IPv4 address
        "3fff::/20",  # documentation (RFC 9637)
    )
)
# RFC 6052 §2.1: a network with NAT64 reaches IPv4 under this prefix, so what counts is the address inside.
_NAT64 = IPv6Network("64:ff9b::/96")


def check_addresses(addresses: Sequence[str], allowed: Sequence[Network]) -> list[Address]:
    """All addresses of a name, in order. Raises AddressForbidden when any of them may not be talked to.

    Any and not all: a name with one public and one private address was made to slip through.
    """
    found = [ip_address(address.partition("%")[0]) for address in addresses]
    if not found:
        raise AddressForbidden("The name leads to no address.")
    if not all(is_permitted(address, allowed) for address in found):
        raise AddressForbidden(
            "The name leads to an address that is not public. Networks of your own are allowed by the setting "
            "WEBHOOK_ALLOWED_NETWORKS."
        )
    return found


def is_permitted(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether this address may be talked to: public, or in a network the operator allows."""
    address = _reached(address)
    if is_allowed(address, allowed):
        return True
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _FORBIDDEN_V4)
    return address in _UNICAST_V6 and not any(address in network for network in _FORBIDDEN_V6)


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether the operator allows this address by name of its network."""
    address = _reached(address)
    return any(address in network for network in allowed if network.version == address.version)


def _reached(address: Address) -> Address:
    """The address a packet would end at: IPv4 that is written as IPv6 is unwrapped."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
