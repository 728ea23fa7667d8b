"""One request to a stranger's server, with its redirects: bounded in time, in bytes and in hops, believing nothing.

Each hop is a connection of its own, through `guard`: resolved, checked and connected anew. No cookie, no referrer, no
proxy of the environment and no name of a person goes along, so what is learned there is that somebody of this
installation asked. TLS is verified against the name in the address.

Limits: a new connection for each request. Answers are asked for uncompressed, and taken as they come.
"""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import httpcore

from apps.fetching.errors import FetchFailed
from apps.fetching.guard import Deadline, GuardedNetwork, Network
from apps.fetching.url import Target, read_url

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
AGENT = "Mozilla/5.0 (compatible; mailplatform; fetched for a reader)"


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """`deadline_seconds` bounds it all, from the first lookup to the last byte. `only_secure`: https,
    but to `allowed_networks`."""

    allowed_networks: Sequence[Network] = field(default_factory=tuple)
    deadline_seconds: float = 8
    max_bytes: int = 8 * 1024 * 1024
    max_redirects: int = 4
    only_secure: bool = False


@dataclass(frozen=True, slots=True)
class _Question:
    """`content` is None for a GET."""

    headers: Mapping[str, str]
    content: bytes | None = None

    @property
    def method(self) -> str:
        return "GET" if self.content is None else "POST"


@dataclass(frozen=True, slots=True)
class Fetched:
    status: int
    content_type: str
    content: bytes = field(repr=False)


def fetch(url: str, policy: FetchPolicy, headers: Mapping[str, str] | None = None) -> Fetched:
    """GET, redirects followed. Raises FetchFailed, also for an answer that is not 200."""
    deadline = Deadline.in_seconds(policy.deadline_seconds)
    target = read_url(url)
    for _hop in range(policy.max_redirects + 1):
        answer = _ask(target, _Question(headers or {}), policy, deadline)
        if isinstance(answer, Fetched):
            if answer.status != 200:
                raise FetchFailed("refused", f"It answered {answer.status}.", status=answer.status)
            return answer
        target = answer
    raise FetchFailed("too_many_redirects", "It leads on and on.")


def post(url: str, content: bytes, policy: FetchPolicy, headers: Mapping[str, str]) -> int:
    """POST, and the status it was answered with; redirects are an answer and not followed. Raises FetchFailed."""
    deadline = Deadline.in_seconds(policy.deadline_seconds)
    answer = _ask(read_url(url), _Question(headers, content), policy, deadline)
    return answer.status if isinstance(answer, Fetched) else 302


def _ask(target: Target, question: _Question, policy: FetchPolicy, deadline: Deadline) -> Fetched | Target:
    """The answer, or where it sends us. Every way of failing is a FetchFailed."""
    network = GuardedNetwork(
        deadline,
        policy.allowed_networks,
        is_plain=not target.is_secure,
        only_secure=policy.only_secure,
    )
    sent = {
        "Host": target.host_header,
        "User-Agent": AGENT,
        "Accept-Encoding": "identity",
        "Connection": "close",
        **({"Content-Length": str(len(question.content))} if question.content is not None else {}),
        **question.headers,
    }
    url = httpcore.URL(
        scheme=b"https" if target.is_secure else b"http",
        host=target.host.encode(),
        port=target.port,
        target=target.path.encode(),
    )
    try:
        with httpcore.ConnectionPool(ssl_context=_tls(), network_backend=network) as pool:
            raw = [(name.encode(), value.encode()) for name, value in sent.items()]
            with pool.stream(question.method, url, headers=raw, content=question.content) as response:
                return _read(response, target, policy, is_followed=question.content is None)
    except httpcore.TimeoutException as error:
        raise FetchFailed("timed_out", "It took too long.") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise _explain(error) from error


def _read(
    response: httpcore.Response, target: Target, policy: FetchPolicy, *, is_followed: bool
) -> Fetched | Target:
    said = {name.lower(): value.decode("latin-1") for name, value in response.headers}
    if response.status in _REDIRECTS and is_followed:
        return target.joined(said.get(b"location", ""))
    if not is_followed or response.status != 200:
        return Fetched(response.status, "", b"")
    length = said.get(b"content-length", "")
    if length.isdecimal() and int(length) > policy.max_bytes:
        raise FetchFailed("too_large", "It is too large.")
    content = bytearray()
    for chunk in response.iter_stream():
        content += chunk
        if len(content) > policy.max_bytes:
            raise FetchFailed("too_large", "It is too large.")
    return Fetched(response.status, said.get(b"content-type", ""), bytes(content))


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _explain(error: Exception) -> FetchFailed:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return FetchFailed("tls_failed", "No trusted TLS connection could be made.")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpcore.ProtocolError):
        return FetchFailed("not_http", "What answered does not speak HTTP.")
    return FetchFailed("unreachable", "No connection could be made, or it broke before the answer.")
