"""How much one sender may ask of the SMTP listener."""

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from apps.inbound.board import Held, Seat, sit_alone

Network = IPv4Network | IPv6Network
MEBIBYTE = 1024 * 1024
IN_FLIGHT_BYTES = 128 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds.

    RFC 5321 §4.5.3.2 asks a server to wait five minutes for a command; data blocks, three minutes.
    """

    max_size_bytes: int = 30 * MEBIBYTE
    trusted_networks: tuple[Network, ...] = ()
    proxy_networks: tuple[Network, ...] = ()  # where load balancers speak the PROXY protocol

    max_recipients: int = 100  # RFC 5321 §4.5.3.1.8: at least 100 must be possible
    max_excess_recipients: int = 1000  # beyond them, told to come again; any more count as errors
    max_command_bytes: int = 2048  # RFC 5321 §4.5.3.1.4 says 512; SMTPUTF8, SIZE and long paths add to it
    max_challenge_bytes: int = 12288  # RFC 4954 §4
    max_connections: int = 400
    max_connections_per_address: int = 20
    max_connections_per_minute: int = 120  # of one address, over all listeners; 0: any number
    max_messages_per_minute: int = 600
    max_errors: int = 40  # refused commands in one connection between two accepted messages
    max_idle_commands: int = 100  # NOOP, RSET and their like, likewise

    handshake_seconds: float = 30
    command_seconds: float = 300
    hurried_command_seconds: float = 20  # while more than three quarters of all connections are taken
    session_seconds: float = 1800  # from the greeting or the last message taken to the next
    data_block_seconds: float = 180
    data_total_seconds: float = 1800
    max_in_flight_bytes: int = IN_FLIGHT_BYTES  # of all messages being received at once
    max_in_flight_bytes_per_address: int = IN_FLIGHT_BYTES // 2  # or a slow one would keep all others out

    @property
    def max_discarded_bytes(self) -> int:
        """What is still read of a message that is too large, so that its sender can be told; then we hang up."""
        return 20 * self.max_size_bytes

    def trusts(self, address: str) -> bool:
        """Whether this peer is exempt from limits per address."""
        return _is_in(address, self.trusted_networks)

    def is_proxy(self, address: str) -> bool:
        """Whether this peer speaks for others, and must say for whom."""
        return _is_in(address, self.proxy_networks)


@dataclass(slots=True)
class Gate:
    """Counts what is open, in this process and by its `seat` in its neighbours. Only the event loop's thread touches
    it."""

    limits: Limits
    seat: Seat = field(default_factory=sit_alone)
    connections: int = 0
    in_flight_bytes: int = 0
    by_address: dict[str, int] = field(default_factory=dict)
    in_flight_by_address: Counter[str] = field(default_factory=Counter)

    @property
    def command_seconds(self) -> float:
        """How long a client may think. Less when room runs out: who holds connections open and says nothing keeps
        others from coming in."""
        connections = self.connections + self.seat.others(Held.CONNECTIONS)
        is_full = connections > self.limits.max_connections * 3 // 4
        hurried = min(self.limits.hurried_command_seconds, self.limits.command_seconds)
        return hurried if is_full else self.limits.command_seconds

    def enter(self, address: str) -> str:
        """Count a new connection; the reply that refuses it, or "". Call `leave` in either case."""
        group = group_of(address)
        self.connections += 1
        self.by_address[group] = self.by_address.get(group, 0) + 1
        elsewhere, of_address = self.seat.add(Held.CONNECTIONS, group, 1)
        if self.connections + elsewhere > self.limits.max_connections:
            return "421 4.3.2 Too many connections, try again later"
        of_address += self.by_address[group]
        if of_address > self.limits.max_connections_per_address and not self.limits.trusts(address):
            return "421 4.7.0 Too many connections from your address"
        return ""

    def leave(self, address: str) -> None:
        group = group_of(address)
        self.connections -= 1
        self.by_address[group] -= 1
        self.seat.add(Held.CONNECTIONS, group, -1)
        if not self.by_address[group]:
            del self.by_address[group]

    def reserve(self, size_bytes: int, address: str) -> bool:
        """Take room for bytes being received; False when all connections together, or those of this address, hold too
        many already."""
        group = group_of(address)
        elsewhere, of_address = self.seat.add(Held.IN_FLIGHT_BYTES, group, size_bytes)
        of_address += self.in_flight_by_address[group] + size_bytes
        if self.in_flight_bytes + elsewhere + size_bytes > self.limits.max_in_flight_bytes or (
            of_address > self.limits.max_in_flight_bytes_per_address and not self.limits.trusts(address)
        ):
            self.seat.add(Held.IN_FLIGHT_BYTES, group, -size_bytes)
            return False
        self.in_flight_bytes += size_bytes
        self.in_flight_by_address[group] += size_bytes
        return True

    def release(self, size_bytes: int, address: str) -> None:
        """Give it back."""
        group = group_of(address)
        self.seat.add(Held.IN_FLIGHT_BYTES, group, -size_bytes)
        self.in_flight_bytes -= size_bytes
        self.in_flight_by_address[group] -= size_bytes
        if not self.in_flight_by_address[group]:
            del self.in_flight_by_address[group]


def plain_address(peername: object) -> str:
    """The IP address of a socket's peer name, without scope and IPv4 mapping; "" where there is none."""
    ip = _ip(str(peername[0])) if isinstance(peername, tuple) and peername else None
    return str(ip) if ip is not None else ""


@lru_cache(4096)  # asked several times for each mail
def _ip(address: str) -> IPv4Address | IPv6Address | None:
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(ip, IPv6Address) and ip.ipv4_mapped) or ip


def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    ip = _ip(address) if networks else None
    return ip is not None and any(ip in network for network in networks)


@lru_cache(4096)
def group_of(address: str) -> str:
    """What counts as one address: whoever has one IPv6 address has the 2^64 around it too."""
    ip = _ip(address)
    return str(IPv6Network((ip, 64), strict=False)) if isinstance(ip, IPv6Address) else address
