"""Push what is due: a few webhooks side by side, each with at most a handful of events at once.

    claim     lease due deliveries, webhook by webhook
    post      sign and send; no transaction is open
    record    delivered, or due again later

A crash between `post` and `record` leaves a lease that lapses: the receiver gets the event again with the same
`webhook-id`. A webhook's events are posted together and waited for together, so a slow receiver delays itself and
takes one of `webhooks_at_once` places.

Limits: one pusher a process, and it occupies one of the worker's threads while it runs.
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ParamSpec, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from apps.events.models import Event
from apps.organisations.sealing import SealBroken, unseal
from apps.webhooks.connection import PushPolicy, post
from apps.webhooks.errors import PushFailed, WebhookInvalid
from apps.webhooks.models import Webhook, WebhookDelivery
from apps.webhooks.payload import body_of, headers_of
from apps.webhooks.queue import AT_ONCE_PER_WEBHOOK, GONE, Claim, claim_due, record_failure, record_success
from apps.webhooks.target import Target, read_target

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one push needs, read before it: the rows may change meanwhile."""

    target: Target
    event: Event
    secret: bytes = field(repr=False)


class Pusher:
    """Pushes until nothing is due. `wake` tells a running one that there may be more."""

    def __init__(self, policy: PushPolicy, *, webhooks_at_once: int = 16) -> None:
        self._policy = policy
        self._places = webhooks_at_once
        self._in_flight: dict[asyncio.Task[None], uuid.UUID] = {}
        self._stopping = False
        self.is_woken = False

    def wake(self) -> None:
        self.is_woken = True

    def stop(self) -> None:
        """Take nothing new; what is in flight is let finish."""
        self._stopping = True

    async def run(self) -> None:
        """Until nothing is due that could be sent now, and nothing is in flight."""
        try:
            while await self._claim() or self._in_flight:
                await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
                self._reap()
        except (OperationalError, InterfaceError) as error:
            # The next sweep wakes somebody; leases that were taken lapse by themselves.
            log.warning("webhooks_database_away", error=type(error).__name__)
            await asyncio.gather(*self._in_flight, return_exceptions=True)

    async def _claim(self) -> bool:
        """Whether anything new is in flight."""
        free = self._places - len(self._in_flight)
        if self._stopping or free <= 0:
            return False
        busy = list(self._in_flight.values())
        claims = await in_thread(claim_due, limit=free * AT_ONCE_PER_WEBHOOK, busy=busy)
        by_webhook: dict[uuid.UUID, list[Claim]] = defaultdict(list)
        for claim in claims:
            by_webhook[claim.webhook_id].append(claim)
        for webhook_id, theirs in by_webhook.items():
            self._in_flight[asyncio.create_task(self._push_all(theirs))] = webhook_id
        return bool(claims)

    def _reap(self) -> None:
        for task in [task for task in self._in_flight if task.done()]:
            del self._in_flight[task]
            if (error := task.exception()) is not None:
                log.error("webhook_push_failed", exc_info=error)

    async def _push_all(self, claims: list[Claim]) -> None:
        await asyncio.gather(*(self._push(claim) for claim in claims))

    async def _push(self, claim: Claim) -> None:
        try:
            status = await self._post(claim)
        except PushFailed as failure:
            await in_thread(record_failure, claim, failure, timezone.now())
        else:
            await in_thread(record_success, claim, status, timezone.now())

    async def _post(self, claim: Claim) -> int:
        parcel = await in_thread(pack, claim, self._policy)
        body = body_of(parcel.event)
        headers = headers_of(parcel.event, body, parcel.secret, timezone.now())
        status = await post(parcel.target, body, headers, self._policy)
        if not 200 <= status < 300:
            raise _refusal(status)
        return status


def pack(claim: Claim, policy: PushPolicy) -> Parcel:
    """Raises PushFailed when the webhook cannot be used as it stands."""
    delivery = WebhookDelivery.objects.select_related("webhook", "event").get(pk=claim.delivery_id)
    webhook: Webhook = delivery.webhook
    try:
        secret = unseal(webhook.sealed_secret, webhook.seal_purpose)
    except SealBroken as error:
        log.error("webhook_secret_lost", webhook=str(webhook.pk))
        raise PushFailed("secret_lost", "Its secret cannot be read; make the webhook anew.") from error
    try:
        return Parcel(read_target(webhook.url, policy.allowed_networks), delivery.event, secret)
    except WebhookInvalid as error:  # the operator's networks may have changed since it was made
        raise PushFailed("address_forbidden", error.reason) from error


def _refusal(status: int) -> PushFailed:
    if 300 <= status < 400:
        return PushFailed("redirected", f"It answered {status}; redirects are not followed.", status=status)
    if status == GONE:
        return PushFailed("gone", "It answered 410 Gone.", status=status)
    known = {one.value: one.phrase for one in HTTPStatus}
    return PushFailed(
        "refused", f"It answered {status} {known.get(status, '')}".rstrip() + ".", status=status
    )


async def in_thread(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Blocking work off the event loop; its database connection is given back afterwards."""

    def unit() -> R:
        try:
            return work(*args, **kwargs)
        finally:
            connection.close()

    return await asyncio.to_thread(unit)
