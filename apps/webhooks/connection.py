"""One HTTP request to a stranger's server: to a checked address, within a bounded time, believing nothing it says.

Resolving, checking and connecting are one step (`_GuardedNetwork.connect_tcp`), so there is no moment between the
check and the use in which a name could change its mind. TLS is verified against the name in the URL, not against the
address. Redirects are not followed, proxies of the environment are not asked, and the answer's body is not read: the
status says everything we need.

Limits: a new connection for each push.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import httpcore

from apps.webhooks.addresses import Network, check_addresses, is_allowed
from apps.webhooks.errors import AddressForbidden, PushFailed
from apps.webhooks.target import Target

MAX_ADDRESSES = 4


@dataclass(frozen=True, slots=True)
class PushPolicy:
    """`deadline_seconds` bounds a whole push, from the first question to the resolver to the answer's status."""

    allowed_networks: tuple[Network, ...] = ()
    connect_seconds: float = 5
    deadline_seconds: float = 15


async def post(target: Target, content: bytes, headers: Mapping[str, str], policy: PushPolicy) -> int:
    """POST, and the status it was answered with. Raises PushFailed when there was no answer."""
    try:
        async with asyncio.timeout(policy.deadline_seconds):
            return await _post(target, content, headers, policy)
    except (TimeoutError, httpcore.TimeoutException) as error:
        raise PushFailed(
            "timed_out", f"No answer came within {policy.deadline_seconds:.0f} seconds."
        ) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise _explain(error) from error


async def _post(target: Target, content: bytes, headers: Mapping[str, str], policy: PushPolicy) -> int:
    network = _GuardedNetwork(policy, is_secure=target.is_secure)
    async with httpcore.AsyncConnectionPool(ssl_context=_tls(), network_backend=network) as pool:
        url = httpcore.URL(
            scheme=b"https" if target.is_secure else b"http",
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        sent = {
            "Host": target.host_header,
            "Content-Length": str(len(content)),
            **headers,
            "Connection": "close",
        }
        timeouts = {"connect": policy.connect_seconds}
        async with pool.stream(
            "POST",
            url,
            headers=[(name.encode(), value.encode()) for name, value in sent.items()],
            content=content,
            extensions={"timeout": timeouts},
        ) as response:
            return response.status


class _GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Opens sockets to permitted addresses only."""

    def __init__(self, policy: PushPolicy, *, is_secure: bool) -> None:
        self._policy = policy
        self._is_secure = is_secure
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the interface's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = check_addresses(await _resolve(host, port), self._policy.allowed_networks)
        if not self._is_secure and not all(
            is_allowed(one, self._policy.allowed_networks) for one in addresses
        ):
            raise AddressForbidden("Plain http is for networks that WEBHOOK_ALLOWED_NETWORKS names.")
        failure: Exception | None = None
        for address in addresses[:MAX_ADDRESSES]:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
        raise failure or AddressForbidden("The name leads to no address.")


async def _resolve(host: str, port: int) -> Sequence[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise PushFailed("unresolvable", "The name in the URL cannot be resolved.") from error
    return list(dict.fromkeys(str(address[0]) for *_family, address in found))


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _explain(error: Exception) -> PushFailed:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return PushFailed("tls_failed", "No trusted TLS connection could be made.")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpcore.ProtocolError):
        return PushFailed("not_http", "What answered does not speak HTTP.")
    return PushFailed("unreachable", "No connection could be made, or it broke before the answer.")
