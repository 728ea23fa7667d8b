"""Sending in tests: a submission in a line, and a drain that runs to its end in the test's own process."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from apps.accounts.principal import Principal
from apps.outbound.delivery import LeasePolicy
from apps.outbound.draining.drain import Drain, DrainPolicy
from apps.outbound.models import Delivery, Lane, RefusedSubmission
from apps.outbound.relay import RelayPolicy, RelayRoad
from apps.outbound.submission.submit import Submission, Submitted, submit_message
from apps.outbound.wire.conversation import Timeouts

IMPATIENT = Timeouts(connect=2, greeting=0.5, command=0.5, data=0.5, block=0.5, dot=0.5, farewell=0.5)
QUICK = DrainPolicy(relay=RelayPolicy(timeouts=IMPATIENT, rest_seconds=0))
SHORT_LEASE = LeasePolicy(lease=timedelta(seconds=1), renew_every=timedelta(seconds=0.25))


def send(
    principal: Principal,
    *to: str,
    sender: str = "support@house.test",
    key: str | None = None,
    mends: RefusedSubmission | None = None,
    **fields: Any,
) -> Submitted:
    submission = Submission(
        sender=sender, to=to, **{"subject": "Your invoice", "text": "Hello Elena,\nit is mended.\n", **fields}
    )
    return submit_message(principal, submission, idempotency_key=key, now=timezone.now(), mends=mends)


def drain(
    policy: DrainPolicy = QUICK,
    lane: Lane = Lane.INTERACTIVE,
    *,
    road: Callable[[], RelayRoad] | None = None,
) -> None:
    """Work until nothing is due and nothing is in flight."""

    async def run() -> None:
        await Drain(lane, policy, road=road() if road is not None else None).run()

    asyncio.run(run())


def only_delivery(submitted: Submitted) -> Delivery:
    return Delivery.objects.get(message=submitted.message)


def make_due() -> None:
    """Let every deferral's wait be over."""
    Delivery.objects.filter(state="deferred").update(due_at=timezone.now())
