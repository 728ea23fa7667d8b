"""MTA-STS (RFC 8461): what a domain demands of the way its mail comes to it.

    no record                  nothing, unless a policy we know has not run out (§5.1: an attacker can hide the record)
    a record, policy known     the known one while its id is the record's
    a record, another id       the policy is fetched; while that fails the known one holds, and without one nothing
    mode enforce               only servers that it names, only with TLS and a certificate for their name; else the
                               mail waits
    mode testing               the same is wished for; mail that cannot have it goes nevertheless, and the log says so
    mode none                  nothing

The policy is fetched over HTTPS with a certificate for `mta-sts.DOMAIN`, from a public address, without following
redirects (§3.3), as plain text (§3.2), and no more than 64 KB of it.

Limits: known policies are lost with the process, so the first mail after a restart relies on the record being there.
TLSRPT (RFC 8460) reports are not sent.
"""

import asyncio
import re
import ssl
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from weakref import WeakValueDictionary

import httpx
import structlog

from apps.names.public_addresses import is_public
from apps.names.resolver import NamesUnavailable, NoSuchName, Resolver

log = structlog.get_logger(__name__)

T = TypeVar("T")

MAX_POLICY_BYTES = 64 * 1024  # RFC 8461 §3.3 suggests this very bound
MAX_AGE_SECONDS = 31_557_600  # §3.2
FETCH_SECONDS = 10
FETCH_AGAIN_SECONDS = 300  # §3.3: no more than once in five minutes after a failure
REMEMBERED = 10_000

_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_RECORD_FIELD = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9_.-]{0,31})\s*=\s*([\x21-\x3a\x3c\x3e-\x7e]+)\s*")


class Mode(StrEnum):
    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


class PolicyInvalid(Exception):
    """The policy could not be had or does not read as one."""


@dataclass(frozen=True, slots=True)
class Policy:
    mode: Mode
    patterns: tuple[str, ...]
    max_age_seconds: int

    def covers(self, host: str) -> bool:
        """§4.1: `*.example.org` stands for one label, and for nothing else."""
        name = host.lower().rstrip(".")
        _label, _dot, above = name.partition(".")
        return name in self.patterns or f"*.{above}" in self.patterns


@dataclass(frozen=True, slots=True)
class _Known:
    record_id: str
    policy: Policy
    until: float


Fetch = Callable[[str], Awaitable[str]]


class Policies:
    """The policies this process knows. `fetch(domain)` answers the policy's text or raises PolicyInvalid."""

    def __init__(self, resolver: Resolver, fetch: Fetch, *, clock: Callable[[], float] = time.time) -> None:
        self._resolver = resolver
        self._fetch = fetch
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._failed: OrderedDict[str, float] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def of(self, domain: str) -> Policy | None:
        """What the domain demands, or None for nothing. Never raises: what cannot be told demands nothing (§3.3)."""
        if domain.startswith("["):
            return None
        now = self._clock()
        known = self._known.get(domain)
        if known is not None and known.until <= now:
            known = None
        record_id = await self._record_id(domain)
        if record_id is None or (known is not None and known.record_id == record_id):
            return known.policy if known is not None else None
        known = await self._renewed(domain, record_id, now) or known
        return known.policy if known is not None else None

    async def _record_id(self, domain: str) -> str | None:
        try:
            texts = await self._resolver.txt(f"_mta-sts.{domain}")
        except (NoSuchName, NamesUnavailable):
            return None
        return read_record(texts)

    async def _renewed(self, domain: str, record_id: str, now: float) -> _Known | None:
        """Fetched once, however many mails ask for it at the same time."""
        turn = self._turns.setdefault(domain, asyncio.Lock())
        async with turn:
            known = self._known.get(domain)
            if known is not None and known.record_id == record_id and known.until > now:
                return known
            if self._failed.get(domain, 0) > now:
                return None
            return await self._fetched(domain, record_id, now)

    async def _fetched(self, domain: str, record_id: str, now: float) -> _Known | None:
        try:
            policy = read_policy(await self._fetch(domain))
        except PolicyInvalid as error:
            log.warning("mta_sts_policy_not_read", domain=domain, why=str(error))
            _remember(self._failed, domain, now + FETCH_AGAIN_SECONDS)
            return None
        known = _Known(record_id, policy, now + policy.max_age_seconds)
        _remember(self._known, domain, known)
        return known


def read_record(texts: list[str]) -> str | None:
    """The id of the one record (§3.1); None where there is none, or more than one."""
    records = [text for text in texts if re.match(r"v=STSv1\s*;", text)]
    if len(records) != 1:
        return None
    fields = {match[1]: match[2] for match in map(_RECORD_FIELD.fullmatch, records[0].split(";")) if match}
    record_id = fields.get("id", "")
    return record_id if _ID.fullmatch(record_id) else None


def read_policy(text: str) -> Policy:
    """§3.2. Raises PolicyInvalid."""
    fields: dict[str, list[str]] = {}
    for line in text.replace("\r\n", "\n").split("\n"):
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), []).append(value.strip())
    if fields.get("version", [""])[0] != "STSv1":
        raise PolicyInvalid("it is not of version STSv1")
    mode = fields.get("mode", [""])[0]
    if mode not in {one.value for one in Mode}:
        raise PolicyInvalid("it has no mode")
    age = fields.get("max_age", [""])[0]
    if not re.fullmatch(r"[0-9]{1,10}", age):
        raise PolicyInvalid("it has no max_age")
    patterns = tuple(pattern.lower().rstrip(".") for pattern in fields.get("mx", ()))
    if not patterns and mode != Mode.NONE:
        raise PolicyInvalid("it names no mail server")
    return Policy(Mode(mode), patterns, min(int(age), MAX_AGE_SECONDS))


def fetcher(resolver: Resolver, *, ca_file: str = "", allow_private: bool = False, port: int = 443) -> Fetch:
    """Fetches policies over HTTPS. The address is looked up and checked by us, and is the one that is connected to.
    `ca_file` names the authority that vouches for the servers; "" is the system's.
    """
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    async def fetch(domain: str) -> str:
        host = f"mta-sts.{domain}"
        address = await _address(resolver, host, allow_private=allow_private)
        url = httpx.URL(scheme="https", host=address, port=port, path="/.well-known/mta-sts.txt")
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                return await _get(url, host, context)
        except (httpx.HTTPError, TimeoutError) as error:
            raise PolicyInvalid(f"{host} did not give it: {type(error).__name__}") from error

    return fetch


async def _get(url: httpx.URL, host: str, context: ssl.SSLContext) -> str:
    # The environment's proxies are left alone: the address that was checked is the one to connect to.
    # Nothing is to come compressed: a few bytes of that could be any number.
    headers = {"Host": host, "Accept-Encoding": "identity"}
    async with (
        httpx.AsyncClient(
            verify=context, timeout=FETCH_SECONDS, follow_redirects=False, trust_env=False
        ) as client,
        client.stream("GET", url, headers=headers, extensions={"sni_hostname": host}) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise PolicyInvalid(f"{host} answered {answer.status_code}")
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type != "text/plain":
            # §3.2: a place where strangers may put pages or pictures does not speak for the domain.
            raise PolicyInvalid(f"{host} answered {media_type or 'something'} and not text/plain")
        content = b""
        async for piece in answer.aiter_raw():
            content += piece
            if len(content) > MAX_POLICY_BYTES:
                raise PolicyInvalid(f"{host} answered more than {MAX_POLICY_BYTES} bytes")
    return content.decode("utf-8", "replace")


async def _address(resolver: Resolver, host: str, *, allow_private: bool) -> str:
    try:
        addresses = await resolver.addresses(host)
    except (NoSuchName, NamesUnavailable) as error:
        raise PolicyInvalid(f"{host} cannot be looked up") from error
    allowed = [address for address in addresses if allow_private or is_public(address)]
    if not allowed:
        raise PolicyInvalid(f"{host} has no address of the internet")
    # IPv4 where there is one: with a single address there is no second try.
    return str(min(allowed, key=lambda address: address.version))


def _remember(memory: OrderedDict[str, T], key: str, value: T) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > REMEMBERED:
        memory.popitem(last=False)
