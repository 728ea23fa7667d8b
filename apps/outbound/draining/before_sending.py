"""May claims be sent at all? Asked between the claim and the wire, of a whole batch.

In a database thread with no transaction open (`preparing`), and perhaps again for the same delivery after a crash.
Whether a message's contents may go, `screening` says.
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from apps.outbound.bounces.suppressions import suppressed_in
from apps.outbound.delivery import Claim
from apps.outbound.models import Route
from apps.outbound.submission.wishes import replied_meanwhile
from apps.outbound.transitions import Change
from apps.outbound.transitions import replied_meanwhile as cancelled_by_answer


def outcome_before(claims: Sequence[Claim], now: datetime) -> dict[uuid.UUID, Change]:
    """By token, what becomes of claims that must not be sent now. An answer that cancels goes before all else."""
    return _suppressed(claims, now) | _replied(claims)


def _replied(claims: Sequence[Claim]) -> dict[uuid.UUID, Change]:
    """Those that an answer was to cancel, and that have one."""
    wishing = [claim.delivery_id for claim in claims if claim.cancel_if_replied]
    answered = replied_meanwhile(wishing) if wishing else set()
    change = replace(cancelled_by_answer(), attempted=False)
    return {claim.token: change for claim in claims if claim.delivery_id in answered}


def _suppressed(claims: Sequence[Claim], now: datetime) -> dict[uuid.UUID, Change]:
    """Those whose recipient bounced or complained before."""
    leaving = [claim for claim in claims if claim.route == Route.RELAY]
    withheld = suppressed_in([(claim.organisation_id, claim.recipient) for claim in leaving], now)
    return {
        claim.token: replace(change, attempted=False)
        for claim in leaving
        if (change := withheld.get((claim.organisation_id, claim.recipient))) is not None
    }
