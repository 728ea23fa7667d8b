"""The guard against server-side request forgery: which addresses a stranger's URL may make us talk to.

A webhook's URL is chosen by a customer and fetched by a server that stands next to databases and a cloud's metadata
service. Names prove nothing: `localtest.me`, `0x7f.1` and `[::ffff:10.0.0.1]` all lead inside, and a name may resolve
to something else each time it is asked. So the addresses themselves are checked, all of them, at the moment the socket
is opened, and the socket goes to one that was checked (`connection.py`).

An operator may allow networks of their own by WEBHOOK_ALLOWED_NETWORKS.

Limits: a public address of this very installation is public. Whoever runs it behind one should not rely on being
unreachable from the inside.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from apps.names.public_addresses import Address, is_public, reached
from apps.webhooks.errors import AddressForbidden

Network = IPv4Network | IPv6Network


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
    return is_allowed(address, allowed) or is_public(address)


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether the operator allows this address by name of its network."""
    address = reached(address)
    return any(address in network for network in allowed if network.version == address.version)
