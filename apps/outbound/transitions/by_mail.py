"""What other mail does to deliveries: bounces, complaints, answers. In the caller's transaction."""

import uuid
from collections.abc import Collection
from datetime import datetime

from apps.outbound.causes import Cause
from apps.outbound.models import WAITING, Delivery, DeliveryState
from apps.outbound.transitions.change import Change, apply_change


def bounce(delivery_id: uuid.UUID, change: Change, now: datetime) -> bool:
    """sent, uncertain → bounced, with the cause and words of `change`; whether it was in one of those.

    A bounce that overtakes our own record finds the delivery `sending` and changes nothing; read it again then.
    """
    gone_out = [DeliveryState.SENT, DeliveryState.UNCERTAIN]
    return bool(apply_change(Delivery.objects.filter(pk=delivery_id, state__in=gone_out), change, now))


def suppress_waiting(
    organisation_id: uuid.UUID, recipients: Collection[str], change: Change, now: datetime
) -> int:
    """scheduled, queued, deferred → suppressed, for every mail of an organisation that waits for these; how many."""
    waiting = Delivery.objects.filter(
        organisation=organisation_id, recipient__in=recipients, state__in=WAITING
    )
    return apply_change(waiting, change, now)


def cancel_replied(delivery_ids: Collection[uuid.UUID], now: datetime) -> int:
    """scheduled, queued, deferred → cancelled, where that was wished for when an answer comes; how many."""
    wished = Delivery.objects.filter(pk__in=delivery_ids, state__in=WAITING, cancel_if_replied=True)
    return apply_change(wished, replied_meanwhile(), now)


def replied_meanwhile() -> Change:
    """What becomes of a delivery that was to be cancelled by an answer, when there is one."""
    return Change(
        DeliveryState.CANCELLED,
        Cause.REPLIED,
        "It was cancelled, as wished: the conversation got an answer before it was sent.",
    )
