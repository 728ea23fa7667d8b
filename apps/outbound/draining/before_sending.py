"""What is asked about deliveries between the claim and the wire: may they be sent at all, and from what address?

    outcome_before   for a batch of claims: whom to end here, and as what; the others may go
    return_path      whom a bounce of this very delivery comes back to

The first is asked in a database thread with no transaction open (`preparing`), and may be asked again for the same
delivery after a crash. Whether the message itself may go, `screening` says.
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from apps.outbound.bounces.return_path import return_paths
from apps.outbound.bounces.suppressions import suppressed_in
from apps.outbound.delivery import Claim
from apps.outbound.models import Route
from apps.outbound.submission.wishes import replied_meanwhile
from apps.outbound.transitions import Change
from apps.outbound.transitions import replied_meanwhile as cancelled_by_answer


def outcome_before(claims: Sequence[Claim], now: datetime) -> dict[uuid.UUID, Change]:
    """By token, what becomes of claims that must not be sent now. An answer that cancels goes before all else."""
    return _suppressed(claims, now) | _replied(claims)


def return_path(claim: Claim) -> str:
    """The envelope's sender: signed, and "" for what answers by itself."""
    return return_paths().of(claim.delivery_id, claim.sender, claim.kind)


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
