"""What helps a recipient of the error queue: trying again helps only against what passes by itself.

retry        whatever refused may answer otherwise now
rewrite      the message is what was refused: it is written anew
elsewhere    the same, for a message the composer cannot hold: it is changed where it was written
readdress    nobody has this address, or its server takes nothing for it
unsuppress   the address is on the list of suppressions, and nothing is sent to it before it is off the list
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from apps.outbound.bounces.suppressions import suppressed_among
from apps.outbound.causes import Cause
from apps.outbound.models import Delivery, Route
from apps.outbound.submission.rewriting import OF_THE_MESSAGE, can_be_rewritten


class Remedy(StrEnum):
    RETRY = "retry"
    REWRITE = "rewrite"
    ELSEWHERE = "elsewhere"
    READDRESS = "readdress"
    UNSUPPRESS = "unsuppress"


def remedies_for(
    organisation_id: uuid.UUID, failed: Sequence[Delivery], now: datetime
) -> dict[uuid.UUID, Remedy]:
    """For a page of an organisation's error queue, by delivery: one question to the list of suppressions for all."""
    withheld = suppressed_among(
        organisation_id, {one.recipient for one in failed if one.route == Route.RELAY}, now
    )
    return {one.pk: _remedy(one, is_suppressed=one.recipient in withheld) for one in failed}


def _remedy(delivery: Delivery, *, is_suppressed: bool) -> Remedy:
    if delivery.cause in OF_THE_MESSAGE:
        return Remedy.REWRITE if can_be_rewritten(delivery.message) else Remedy.ELSEWHERE
    if delivery.cause == Cause.NO_SUCH_ADDRESS:
        return Remedy.READDRESS
    if is_suppressed and delivery.route == Route.RELAY:
        return Remedy.UNSUPPRESS
    return Remedy.READDRESS if delivery.cause == Cause.RECIPIENT_REFUSED else Remedy.RETRY
