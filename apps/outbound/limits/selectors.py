"""Limits as people and programs see them: what is bounded, how much of it is used now, and whom a provider slowed down.

The counts are the limiter's own, read by the same script; while Redis is away limits are shown without them.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from redis import Redis
from redis.exceptions import RedisError

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.outbound.limits.bounds import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Bounds, Demand
from apps.outbound.limits.rules import Named, Owner, Rules, bounds_of, key_of, load_rules, relay_words
from apps.outbound.limits.script import LEASE_MS, PREFIX, SCRIPT
from apps.outbound.models import EACH, LimitScope, SendingLimit

log = structlog.get_logger(__name__)

WINDOW_NAMES = {
    SECOND_MS: "per_second",
    MINUTE_MS: "per_minute",
    HOUR_MS: "per_hour",
    DAY_MS: "per_day",
}


@dataclass(frozen=True, slots=True)
class Pace:
    """What a provider's limit made of our speed. Rates are messages a minute; None is not slowed in this way."""

    paused_until: datetime | None
    because: str
    per_minute: float | None
    connections: int | None


@dataclass(frozen=True, slots=True)
class Use:
    """How much is used now: connections, and by the name of each bounded window; None while nobody can tell."""

    bounds: Bounds
    in_flight: int | None = None
    windows: dict[str, int] | None = None
    pace: Pace | None = None

    @property
    def is_known(self) -> bool:
        return self.windows is not None


def limits_for(principal: Principal) -> QuerySet[SendingLimit]:
    """The organisation's own, and those that hold for everybody."""
    return SendingLimit.objects.filter(
        Q(organisation=principal.organisation_id) | Q(organisation__isnull=True)
    ).exclude(
        # Whom else the operator bounds is nobody's business.
        Q(organisation__isnull=True, scope__in=[LimitScope.SENDER, LimitScope.ORGANISATION])
        & ~Q(subject__in=[EACH, str(principal.organisation_id)])
    )


def limit_for(principal: Principal, limit_id: uuid.UUID | str) -> SendingLimit:
    """One of them. Raises NotVisible."""
    try:
        return limits_for(principal).get(pk=limit_id)
    except (SendingLimit.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(limit_id)) from error


def use_of_limits(rows: Sequence[SendingLimit]) -> dict[uuid.UUID, Use]:
    """How much of each is used. A limit for each of many (`*`) is a bound alone."""
    demands = {
        row.pk: Demand(
            key_of(LimitScope(row.scope), row.subject, row.organisation_id),
            LimitScope(row.scope),
            row.subject,
            bounds_of(row),
        )
        for row in rows
    }
    asked = [one for one in demands.values() if not one.key.partition("@")[0].endswith(f":{EACH}")]
    used = dict(zip((one.key for one in asked), _use(asked), strict=True))
    return {pk: used.get(demand.key, Use(demand.bounds)) for pk, demand in demands.items()}


def use_of_relays(relays: Sequence[Named], organisation_id: uuid.UUID) -> dict[uuid.UUID, Use]:
    """Each relay's bounds, everybody's and the organisation's own together, what is used of them, and its pace.

    Where the organisation bounds a window itself, its own mail is what is shown for it.
    """
    rules = load_rules()
    shared = [_relay_demand(relay, None, rules) for relay in relays]
    own = [_relay_demand(relay, organisation_id, rules) for relay in relays]
    used = _use([*shared, *own])
    return {relay.pk: _together(used[place], used[len(relays) + place]) for place, relay in enumerate(relays)}


def _relay_demand(relay: Named, owner: Owner, rules: Rules) -> Demand:
    bounds = rules.find(owner, LimitScope.RELAY, str(relay.pk)) or Bounds()
    key = key_of(LimitScope.RELAY, str(relay.pk), owner)
    return Demand(key, LimitScope.RELAY, relay_words(relay), bounds)


def _together(shared: Use, own: Use) -> Use:
    bounds = shared.bounds.tightest(own.bounds)
    if shared.windows is None or own.windows is None or shared.in_flight is None or own.in_flight is None:
        return Use(bounds)
    in_flight = max(shared.in_flight, own.in_flight)
    return Use(bounds, in_flight, {**shared.windows, **own.windows}, shared.pace)


def _use(demands: Sequence[Demand]) -> list[Use]:
    try:
        answer = _ask({"op": "usage", "demands": [one.as_json() for one in demands]})
    except RedisError as error:
        log.warning("use_not_read", error=type(error).__name__)
        return [Use(one.bounds) for one in demands]
    used = answer["used"] or []  # an empty list is an empty table to Lua
    return [_read(demand.bounds, one, answer["at"]) for demand, one in zip(demands, used, strict=True)]


def _read(bounds: Bounds, used: dict[str, Any], now_ms: float) -> Use:
    windows = {WINDOW_NAMES[int(length)]: int(count) for length, count, _oldest in used["windows"] or []}
    pace = used.get("pace")
    return Use(bounds, int(used["flying"]), windows, _pace(pace, now_ms) if pace else None)


def _pace(pace: dict[str, Any], now_ms: float) -> Pace:
    until = pace["paused_until"]
    lines = pace.get("lines_now")
    return Pace(
        paused_until=datetime.fromtimestamp(until / 1000, UTC) if until > now_ms else None,
        because=pace["because"],
        per_minute=pace.get("rate_now"),
        connections=None if lines is None else int(lines),
    )


def _ask(step: dict[str, Any]) -> dict[str, Any]:
    redis: Redis = Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
    with redis:
        call = {"lease": LEASE_MS, "settle": 0, "steps": [step]}
        answers: list[dict[str, Any]] = json.loads(
            redis.register_script(SCRIPT)(keys=[PREFIX], args=[json.dumps(call)])
        )
    return answers[0]
