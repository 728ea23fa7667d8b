"""What an organisation wants of received mail, and what it knows about one sender: asked once for each mail."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from apps.classify.spam import Learned
from apps.organisations.prepared import executed
from apps.tickets.models import DmarcWish, ForbiddenFiles, LockedArchives, SpamWish

_ASK = """
SELECT COALESCE(policy.forbidden_files, 'hold'), COALESCE(policy.locked_archives, 'allow'),
    COALESCE(policy.spam, 'hold'), COALESCE(policy.dmarc, 'obey'), COALESCE(known.spam, 0), COALESCE(known.ham, 0),
    EXISTS (
        SELECT FROM tickets_trustedsender trusted
        WHERE trusted.organisation_id = organisation.id AND trusted.sender = ANY(%(names)s)
    )
FROM organisations_organisation organisation
LEFT JOIN tickets_receivingpolicy policy ON policy.organisation_id = organisation.id
LEFT JOIN tickets_spamknowledge known ON known.organisation_id = organisation.id
WHERE organisation.id = %(organisation)s
"""


@dataclass(frozen=True, slots=True)
class Wishes:
    """`trusts_sender`: the address that the mail claims to be from is trusted, or its domain. It proves nothing yet."""

    forbidden_files: ForbiddenFiles
    locked_archives: LockedArchives
    spam: SpamWish
    dmarc: DmarcWish
    learned: Learned
    trusts_sender: bool


def wishes_of(organisation_id: uuid.UUID, names: Sequence[str]) -> Wishes:
    """`names`: those under which the sender may be trusted (`trust.names_of`)."""
    with executed(_ASK, {"organisation": organisation_id, "names": list(names)}) as cursor:
        files, archives, spam, dmarc, spam_count, ham_count, trusts = cursor.fetchone() or (
            "hold", "allow", "hold", "obey", 0, 0, False
        )  # fmt: skip
    return Wishes(
        ForbiddenFiles(files),
        LockedArchives(archives),
        SpamWish(spam),
        DmarcWish(dmarc),
        Learned(spam_count, ham_count),
        trusts,
    )
