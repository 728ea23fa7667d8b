"""Relays as people and programs see them: what they are, how they are, and what they answered last.

Health lies in Redis; with Redis away a relay is shown without it, and the answer says so.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from redis import Redis
from redis.exceptions import RedisError

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.names.breaker import Breaker
from apps.outbound.models import Relay
from apps.outbound.relays.health import Answer, answers_key, breaker_key, decode_breaker, resting_key

log = structlog.get_logger(__name__)

RESTING_SHOWN = 10

RelayState = Literal["ok", "failing", "resting", "paused", "unknown"]


@dataclass(frozen=True, slots=True)
class RestingServer:
    """A recipient's server that a direct relay leaves alone."""

    host: str
    until: datetime


@dataclass(frozen=True, slots=True)
class RelayHealth:
    """`ok`; `failing`: it failed of late and is still asked; `resting` until a time; `paused` by a person; `unknown`
    while Redis is away. `because` is the last failure in words.
    """

    state: RelayState
    until: datetime | None = None
    because: str = ""
    answers: Sequence[Answer] = ()
    resting_servers: Sequence[RestingServer] = ()


def relays_for(principal: Principal) -> QuerySet[Relay]:
    """The organisation's own and those of RELAY_URL in use, in the order in which they are asked."""
    return Relay.objects.filter(
        Q(organisation=principal.organisation_id) | Q(organisation__isnull=True, is_active=True),
        removed_at__isnull=True,
    ).order_by("priority", "name", "id")


def relay_for(principal: Principal, relay_id: uuid.UUID | str) -> Relay:
    """One of them. Raises NotVisible."""
    try:
        return relays_for(principal).get(pk=relay_id)
    except (Relay.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(relay_id)) from error


def health_of(relays: Sequence[Relay], now: datetime) -> dict[uuid.UUID, RelayHealth]:
    """How each of them is, in one round trip."""
    try:
        stored = _ask_redis(relays, now)
    except RedisError as error:
        log.warning("health_not_read", error=type(error).__name__)
        return {relay.pk: RelayHealth("unknown" if relay.is_active else "paused") for relay in relays}
    return {relay.pk: _health(relay, *stored[3 * n : 3 * n + 3], now=now) for n, relay in enumerate(relays)}


def _ask_redis(relays: Sequence[Relay], now: datetime) -> list[Any]:
    redis: Redis = Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
    with redis, redis.pipeline(transaction=False) as pipeline:
        for relay in relays:
            pipeline.get(breaker_key(str(relay.pk)))
            pipeline.lrange(answers_key(str(relay.pk)), 0, -1)
            pipeline.zrangebyscore(
                resting_key(str(relay.pk)),
                now.timestamp(),
                "+inf",
                start=0,
                num=RESTING_SHOWN,
                withscores=True,
            )
        answers: list[Any] = pipeline.execute()
        return answers


def _health(
    relay: Relay,
    breaker: bytes | None,
    answers: list[bytes],
    resting: list[tuple[bytes, float]],
    *,
    now: datetime,
) -> RelayHealth:
    known = decode_breaker(breaker)
    state, until = _state(relay, known, now)
    return RelayHealth(
        state,
        until=until,
        because=known.because,
        answers=[Answer.decode(one) for one in answers],
        resting_servers=[
            RestingServer(host.decode(), datetime.fromtimestamp(at, UTC)) for host, at in resting
        ],
    )


def _state(relay: Relay, known: Breaker, now: datetime) -> tuple[RelayState, datetime | None]:
    if not relay.is_active:
        return "paused", None
    if known.resting_until > now.timestamp():
        return "resting", datetime.fromtimestamp(known.resting_until, UTC)
    return ("failing" if known.failures or known.rests else "ok"), None
