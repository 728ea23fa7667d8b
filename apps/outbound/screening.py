"""Screening on the road out: nothing leaves the house, and nothing is laid into a colleague's Inbox, unlooked at.

    remembered    a message's verdict is kept, so that all of its recipients and all of their tries cost one scan
    screen        outside any transaction: the bytes are read, the scanners asked
    keep          the verdict; with `clean`, in the same commit, the sender's copy goes from Outbox to Sent.
                  What is refused stays in the Outbox: it was not sent
    decide        clean: the road goes on · infected, spam, forbidden: rejected, and the sender is told why
                  no verdict: deferred, with the scanner named

A refused message is screened again when somebody resubmits it and scanners, rules or policy have changed since; with
the same ones it is refused again at once, with the same reason. One without a verdict is tried again after a wait
that doubles up to five minutes; the wait belongs to the message, so its recipients do not each ask a dead daemon.

A crash before the verdict is kept leaves nothing, and the message is screened again; after it, the verdict.

Limits: what was clean once is not looked at again by later rules while it waits for a server to answer.
"""

import json
import random
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models import Q

from apps.mailboxes.models import Folder, MailboxEntry, Side
from apps.mailboxes.services import move_sender_copy
from apps.outbound.causes import Cause
from apps.outbound.models import IN_ERROR, Delivery, DeliveryState, EncryptedArchives, SendingPolicy
from apps.outbound.transitions import Change
from apps.screening.findings import Outcome
from apps.screening.screen import screen, version_of_scanners
from apps.screening.verdict import Direction, Envelope, Policy, Verdict

FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 300.0
# A person waits for the answer to a submission; a worker does not.
SUBMISSION_SECONDS = 4.0
RECIPIENTS_TOLD = 50

_CAUSES = {
    Outcome.INFECTED: Cause.INFECTED,
    Outcome.SPAM: Cause.SPAM,
    Outcome.FORBIDDEN: Cause.POLICY_ATTACHMENT,
}
# In one order everywhere: two workers that keep the same ones must not wait for each other.
_KEEP = """
INSERT INTO outbound_outgoingscreening
    (message_id, organisation_id, outcome, scanner, code, reason, details, version, screened_at, tries, try_again_at)
SELECT one.* FROM jsonb_to_recordset(%(verdicts)s::jsonb) AS one (
    message_id uuid, organisation_id uuid, outcome text, scanner text, code text, reason text, details text[],
    version text, screened_at timestamptz, tries int, try_again_at timestamptz
)
ORDER BY one.message_id
ON CONFLICT (message_id) DO UPDATE SET
    outcome = EXCLUDED.outcome, scanner = EXCLUDED.scanner, code = EXCLUDED.code, reason = EXCLUDED.reason,
    details = EXCLUDED.details, version = EXCLUDED.version, screened_at = EXCLUDED.screened_at,
    tries = EXCLUDED.tries, try_again_at = EXCLUDED.try_again_at
"""
_chance = random.SystemRandom()


# verdicts


class Remembered(NamedTuple):
    """What is kept of a message's latest verdict."""

    outcome: str
    reason: str
    version: str
    tries: int
    try_again_at: datetime | None

    def stands(self, policy: Policy, now: datetime) -> bool:
        """Whether it holds still; otherwise the message is screened again."""
        match Outcome(self.outcome):
            case Outcome.CLEAN:
                return True
            case Outcome.UNSCANNABLE:
                return self.try_again_at is not None and self.try_again_at > now
            case _:
                return self.version == version_of_scanners(policy)

    @property
    def change(self) -> Change | None:
        """What it makes of the message's deliveries: None to go on, or what they become instead."""
        return _change(Verdict(Outcome(self.outcome), reason=self.reason), self.try_again_at)


@dataclass(frozen=True, slots=True)
class Screened:
    """A verdict on a message, just reached. `tries` counts those in a row that reached none."""

    message_id: uuid.UUID
    organisation_id: uuid.UUID
    verdict: Verdict
    at: datetime
    tries: int = 0
    try_again_at: datetime | None = None

    @classmethod
    def of(
        cls,
        message_id: uuid.UUID,
        organisation_id: uuid.UUID,
        verdict: Verdict,
        now: datetime,
        *,
        tries_before: int = 0,
    ) -> "Screened":
        if verdict.is_known:
            return cls(message_id, organisation_id, verdict, now)
        tries = tries_before + 1
        return cls(message_id, organisation_id, verdict, now, tries, now + _wait(tries))

    @property
    def change(self) -> Change | None:
        """What it makes of the message's deliveries: None to go on, or what they become instead."""
        return _change(self.verdict, self.try_again_at)


def screen_for_sending(raw: bytes, sender: str, recipients: Sequence[str], policy: Policy) -> Verdict:
    """The verdict on a message on its way. Blocks for as long as the scanners take, with no transaction open."""
    return screen(raw, direction=Direction.OUT, envelope=Envelope(sender, tuple(recipients)), policy=policy)


def keep_verdicts(screened: Collection[Screened]) -> None:
    """Remember verdicts, in the caller's transaction.

    In one piece of JSON: the ORM's placeholders for the array of evidence alone cost 50 µs a row, and eleven arrays of
    columns 25.
    """
    if not screened:
        return
    rows = [
        {
            "message_id": str(one.message_id),
            "organisation_id": str(one.organisation_id),
            "outcome": one.verdict.outcome,
            "scanner": one.verdict.scanner,
            "code": one.verdict.code,
            "reason": one.verdict.reason,
            "details": one.verdict.details,
            "version": one.verdict.version,
            "screened_at": one.at.isoformat(),
            "tries": one.tries,
            "try_again_at": one.try_again_at.isoformat() if one.try_again_at is not None else None,
        }
        for one in screened
    ]
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, {"verdicts": json.dumps(rows)})


def policy_of(encrypted_archives: str | None) -> Policy:
    """What an organisation wants of its screening; None where it wants nothing in particular."""
    return Policy(rejects_closed_archives=encrypted_archives == EncryptedArchives.REJECT)


def _wait(tries: int) -> timedelta:
    bound = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(tries - 1, 16))
    return timedelta(seconds=_chance.uniform(bound / 2, bound))


def _change(verdict: Verdict, again_at: datetime | None = None) -> Change | None:
    """What a verdict makes of a delivery. Waiting for a scanner is no setback: nobody has said no."""
    if verdict.is_clean:
        return None
    if not verdict.is_known:
        return Change(DeliveryState.DEFERRED, Cause.SCANNER_UNAVAILABLE, verdict.reason, due_at=again_at)
    return Change(DeliveryState.REJECTED, _CAUSES[verdict.outcome], verdict.reason)


def some_recipients_of(message_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, tuple[str, ...]]:
    """Some of each message's recipients: a spam filter judges a mail, not a list."""
    found: dict[uuid.UUID, list[str]] = {}
    rows = Delivery.objects.filter(message__in=message_ids).order_by().values_list("message_id", "recipient")
    for message_id, recipient in rows.iterator(chunk_size=1000):
        told = found.setdefault(message_id, [])
        if len(told) < RECIPIENTS_TOLD:
            told.append(recipient)
    return {message_id: tuple(told) for message_id, told in found.items()}


# at a submission, and after


def screen_submission(
    raw: bytes, organisation_id: uuid.UUID, *, sender: str, recipients: Collection[str]
) -> Verdict:
    """The verdict on a message that is to be in a colleague's Inbox when its submission is answered.

    Before the transaction, and within the patience of whoever waits. Without a verdict a worker files it when there
    is one.
    """
    wish = (
        SendingPolicy.objects.filter(pk=organisation_id).values_list("encrypted_archives", flat=True).first()
    )
    return screen(
        raw,
        direction=Direction.OUT,
        envelope=Envelope(sender, tuple(recipients)[:RECIPIENTS_TOLD]),
        policy=policy_of(wish),
        timeout_seconds=SUBMISSION_SECONDS,
    )


def first_change(verdict: Verdict, now: datetime) -> Change | None:
    """What a verdict at the submission makes of a delivery; None when it may be filed at once."""
    if verdict.is_known:
        return _change(verdict)
    return Change(DeliveryState.QUEUED, Cause.SCANNER_UNAVAILABLE, verdict.reason, due_at=now)


def put_away_refused(message_id: uuid.UUID) -> None:
    """Once a person has discarded all of a message that never left, its copy goes from the Outbox to the Trash."""
    open_still = Delivery.objects.filter(message=message_id).exclude(
        Q(state__in=IN_ERROR, discarded_at__isnull=False) | Q(state=DeliveryState.CANCELLED)
    )
    if open_still.exists():
        return
    waiting = MailboxEntry.objects.filter(message=message_id, side=Side.SENDER, folder=Folder.OUTBOX)
    for entry in waiting.select_related("message"):
        move_sender_copy(entry.message, Folder.TRASH)
