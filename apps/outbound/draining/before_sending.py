"""What is asked about deliveries between the claim and the wire: may they be sent at all, and as what?

    outcome_before   for a batch of claims: whom to end here, and as what; the others may go
    return_path      whom a bounce of this very delivery comes back to

Each is asked in a database thread with no transaction open, and may be asked again for the same delivery after a crash.
Screening is asked after these (`screening.Screenings`), because a scanner may take its time.
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace

from apps.outbound.bounces.return_path import return_paths
from apps.outbound.bounces.suppressions import suppressed_among
from apps.outbound.delivery import Claim
from apps.outbound.models import Route
from apps.outbound.submission.wishes import replied_meanwhile
from apps.outbound.transitions import Change
from apps.outbound.transitions import replied_meanwhile as cancelled_by_answer


def outcome_before(claims: Sequence[Claim]) -> dict[uuid.UUID, Change]:
    """By token, what becomes of claims that must not be sent now."""
    outcomes: dict[uuid.UUID, Change] = {}
    for ask in (_replied, _suppressed):
        open_claims = [claim for claim in claims if claim.token not in outcomes]
        outcomes |= ask(open_claims) if open_claims else {}
    return outcomes


def return_path(claim: Claim) -> str:
    """The envelope's sender: signed, and "" for what answers by itself."""
    return return_paths().of(claim.delivery_id, claim.sender, claim.kind)


def _replied(claims: Sequence[Claim]) -> dict[uuid.UUID, Change]:
    """Those that an answer was to cancel, and that have one."""
    wishing = [claim.delivery_id for claim in claims if claim.cancel_if_replied]
    answered = replied_meanwhile(wishing) if wishing else set()
    change = replace(cancelled_by_answer(), attempted=False)
    return {claim.token: change for claim in claims if claim.delivery_id in answered}


def _suppressed(claims: Sequence[Claim]) -> dict[uuid.UUID, Change]:
    """Those whose recipient bounced or complained before: one question for each organisation."""
    outcomes: dict[uuid.UUID, Change] = {}
    for organisation_id in {claim.organisation_id for claim in claims}:
        ours = [c for c in claims if c.organisation_id == organisation_id and c.route == Route.RELAY]
        withheld = suppressed_among(organisation_id, {claim.recipient for claim in ours})
        outcomes |= {
            c.token: replace(withheld[c.recipient], attempted=False) for c in ours if c.recipient in withheld
        }
    return outcomes
