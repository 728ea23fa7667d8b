"""Ports of this machine: which are free, and which the embedded servers take."""

import errno
import secrets
import socket
from collections.abc import Sequence

from mailplatform.embedded.errors import PortTaken, StackFailed

# Below Linux's range for outgoing connections (32768 and up), so that no connection sits on a server's port
# when it restarts; SeaweedFS adds 10000 for its gRPC listeners, which stays below as well.
PORTS: Sequence[int] = range(12000, 22000)
GRPC_OFFSET = 10000
_TRIES = 200


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    try:
        _try_to_listen(host, port)
    except OSError:
        return False
    return True


def choose_port(taken: set[int]) -> int:
    """A free loopback port whose gRPC neighbour is free too; it is added to `taken`."""
    for _ in range(_TRIES):
        port = secrets.choice(PORTS)
        if port not in taken and is_free(port) and is_free(port + GRPC_OFFSET):
            taken.add(port)
            return port
    raise StackFailed(f"no free port was found on 127.0.0.1 between {PORTS[0]} and {PORTS[-1]}")


def ensure_free(variable: str, host: str, port: int) -> None:
    """Raise PortTaken, naming the variable to change, when a listener could not open `port`."""
    try:
        _try_to_listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            line = f"{variable}: port {port} on {host} is taken by another program; free it or set {variable}"
        else:
            line = f"{variable}: cannot listen on {host} port {port}: {error.strerror or error}"
        raise PortTaken(line) from error


def _try_to_listen(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # As servers do, so that connections still in TIME_WAIT do not count; a live listener still does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)
