"""What is asked about deliveries between the claim and the wire: may they be sent at all, and as what?

    outcome_before   for a batch of claims: whom to end here, and as what; the others may go
    dress            a message's bytes as they go over the line: signed
    return_path      whom a bounce of this very delivery comes back to

Each is asked in a database thread with no transaction open, and may be asked again for the same delivery after a crash.
"""

import uuid
from collections.abc import Sequence

from apps.mailboxes.models import Message
from apps.mailboxes.services import take_out_of_outbox
from apps.outbound.delivery import Claim
from apps.outbound.transitions import Change


def outcome_before(claims: Sequence[Claim]) -> dict[uuid.UUID, Change]:
    """By token, what becomes of claims that must not be sent now. Those that may go leave the Outbox."""
    outcomes: dict[uuid.UUID, Change] = {}
    for ask in (_replied, _suppressed, _screened):
        open_claims = [claim for claim in claims if claim.token not in outcomes]
        outcomes |= ask(open_claims) if open_claims else {}
    going = {claim.message_id for claim in claims if claim.token not in outcomes}
    if going:
        take_out_of_outbox(going)
    return outcomes


def dress(message: Message, content: bytes) -> bytes:
    """The bytes that go over the line."""
    return content


def return_path(claim: Claim) -> str:
    """The envelope's sender."""
    return claim.sender


def _replied(claims: Sequence[Claim]) -> dict[uuid.UUID, Change]:
    """Those that an answer was to cancel, and that have one."""
    return {}


def _suppressed(claims: Sequence[Claim]) -> dict[uuid.UUID, Change]:
    """Those whose recipient bounced or complained before."""
    return {}


def _screened(claims: Sequence[Claim]) -> dict[uuid.UUID, Change]:
    """Those whose message a scanner rejects, or cannot look at now."""
    return {}
