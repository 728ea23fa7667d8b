"""Which addresses a stranger's DNS or URL may send us to. Names are theirs; what stands in our own network is ours.

Without this, whoever publishes an MX record of 127.0.0.1, 10.0.0.5 or 169.254.169.254 makes a worker of ours talk to
what only it can reach, and read the answer in a bounce; whoever enters a webhook's URL does the same. Addresses are
checked after they were looked up, and the checked ones are what is connected to.

The tables are IANA's special-purpose registries (RFC 6890 and later) rather than Python's `is_global`, whose answer
depends on its patch version, calls multicast global and knows nothing of clouds' own services.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

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


def is_public(address: Address) -> bool:
    """Whether it is an address of the internet: no loopback, private, link-local, shared (RFC 6598), multicast or
    reserved one, also not dressed up as IPv6.
    """
    address = reached(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _FORBIDDEN_V4)
    return address in _UNICAST_V6 and not any(address in network for network in _FORBIDDEN_V6)


def reached(address: Address) -> Address:
    """The address a packet would end at: IPv4 that is written as IPv6 is unwrapped."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
