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

import asyncio
import random
import uuid
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from apps.blobs.selectors import read_many
from apps.mailboxes.models import Folder, MailboxEntry, Message, Side
from apps.mailboxes.services import move_sender_copy, take_out_of_outbox
from apps.outbound.causes import Cause
from apps.outbound.draining.database_threads import DatabaseThreads, run_in_daemon_thread
from apps.outbound.models import (
    IN_ERROR,
    Delivery,
    DeliveryState,
    EncryptedArchives,
    OutgoingScreening,
    ScreeningOutcome,
    SendingPolicy,
)
from apps.outbound.transitions import Change
from apps.screening.findings import Outcome
from apps.screening.screen import asks_daemons, screen, version_of_scanners
from apps.screening.verdict import Direction, Envelope, Policy, Verdict
from apps.screening.walk import MAX_PLAIN_BYTES

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
_COLUMNS = [
    "outcome", "scanner", "code", "reason", "details", "version", "screened_at", "tries", "try_again_at"
]  # fmt: skip
_chance = random.SystemRandom()


# in the worker


def screen_before_sending(message_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Change | None]:
    """What screening makes of each message's deliveries: None to go on, or what they become instead.

    Blocks for as long as the scanners take. Call it in a database thread, with no transaction open. Raises what
    reading the bytes raises: ObjectStoreUnavailable, BlobMissing.
    """
    changes = _remembered(message_ids, timezone.now())
    take_out_of_outbox([message_id for message_id, change in changes.items() if change is None])
    unknown = [message_id for message_id in message_ids if message_id not in changes]
    if unknown:
        messages = list(Message.objects.select_related("raw").filter(pk__in=unknown))
        changes |= _screen_all(messages, read_many(message.raw for message in messages))
    return changes


def _screen_all(messages: list[Message], raws: Mapping[uuid.UUID, bytes]) -> dict[uuid.UUID, Change | None]:
    policies = policies_of({message.organisation_id for message in messages})
    # Only a daemon's judgement depends on them.
    recipients = _recipients_of(messages) if asks_daemons() else {}
    if not connection.in_atomic_block:
        # This thread may wait for a daemon now; meanwhile others may have its connection.
        connection.close()
    verdicts = [
        (
            message,
            screen(
                raws[message.raw_id],
                direction=Direction.OUT,
                envelope=Envelope(message.sender_address, recipients.get(message.pk, ())),
                policy=policies[message.organisation_id],
            ),
        )
        for message in messages
    ]
    now = timezone.now()
    with transaction.atomic():
        changes = keep_verdicts(verdicts, now)
        take_out_of_outbox([message_id for message_id, change in changes.items() if change is None])
    return changes


def _remembered(message_ids: Collection[uuid.UUID], now: datetime) -> dict[uuid.UUID, Change | None]:
    """What was decided already and still stands."""
    rows = list(OutgoingScreening.objects.filter(message__in=message_ids))
    refused = [
        row for row in rows if row.outcome not in {ScreeningOutcome.CLEAN, ScreeningOutcome.UNSCANNABLE}
    ]
    policies = policies_of({row.organisation_id for row in refused})
    changes: dict[uuid.UUID, Change | None] = {}
    for row in rows:
        match row.outcome:
            case ScreeningOutcome.CLEAN:
                changes[row.message_id] = None
            case ScreeningOutcome.UNSCANNABLE:
                if row.try_again_at is not None and row.try_again_at > now:
                    changes[row.message_id] = _change(
                        Verdict(Outcome.UNSCANNABLE, reason=row.reason), row.try_again_at
                    )
            case _:
                if row.version == version_of_scanners(policies[row.organisation_id]):
                    changes[row.message_id] = _change(Verdict(Outcome(row.outcome), reason=row.reason))
    return changes


def keep_verdicts(
    verdicts: Sequence[tuple[Message, Verdict]], now: datetime
) -> dict[uuid.UUID, Change | None]:
    """Write verdicts, in the caller's transaction, and say what each means for its message's deliveries."""
    in_vain = [message.pk for message, verdict in verdicts if not verdict.is_known]
    tries = dict(
        OutgoingScreening.objects.filter(message__in=in_vain).values_list("message_id", "tries")
        if in_vain
        else ()
    )
    rows, changes = [], dict[uuid.UUID, Change | None]()
    for message, verdict in verdicts:
        row = _row(message, verdict, now)
        if not verdict.is_known:
            row.tries = tries.get(message.pk, 0) + 1
            row.try_again_at = now + _wait(row.tries)
        rows.append(row)
        changes[message.pk] = _change(verdict, row.try_again_at)
    OutgoingScreening.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["message"], update_fields=_COLUMNS
    )
    return changes


def _wait(tries: int) -> timedelta:
    bound = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(tries - 1, 16))
    return timedelta(seconds=_chance.uniform(bound / 2, bound))


def _row(message: Message, verdict: Verdict, now: datetime) -> OutgoingScreening:
    return OutgoingScreening(
        message=message,
        organisation_id=message.organisation_id,
        outcome=ScreeningOutcome(verdict.outcome.value),
        scanner=verdict.scanner,
        code=verdict.code,
        reason=verdict.reason,
        details=list(verdict.details),
        version=verdict.version,
        screened_at=now,
    )


def _change(verdict: Verdict, again_at: datetime | None = None) -> Change | None:
    """What a verdict makes of a delivery. Waiting for a scanner is no setback: nobody has said no."""
    if verdict.is_clean:
        return None
    if not verdict.is_known:
        return Change(DeliveryState.DEFERRED, Cause.SCANNER_UNAVAILABLE, verdict.reason, due_at=again_at)
    return Change(DeliveryState.REJECTED, _CAUSES[verdict.outcome], verdict.reason)


def policies_of(organisation_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Policy]:
    """What each organisation wants of its screening."""
    wanted = set(organisation_ids)
    chosen = dict(
        SendingPolicy.objects.filter(pk__in=wanted).values_list("organisation_id", "encrypted_archives")
        if wanted
        else ()
    )
    return {one: Policy(chosen.get(one) == EncryptedArchives.REJECT) for one in wanted}


def _recipients_of(messages: Iterable[Message]) -> dict[uuid.UUID, tuple[str, ...]]:
    """Some of each message's recipients: a spam filter judges a mail, not a list."""
    found: dict[uuid.UUID, list[str]] = {}
    rows = (
        Delivery.objects.filter(message__in=list(messages)).order_by().values_list("message_id", "recipient")
    )
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
    return screen(
        raw,
        direction=Direction.OUT,
        envelope=Envelope(sender, tuple(recipients)[:RECIPIENTS_TOLD]),
        policy=policies_of([organisation_id])[organisation_id],
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


# in a drain


class Screenings:
    """A drain's screening: one scan for all recipients of a message, whoever asks first and however many ask.

    While the built-in scanner is the only one, small messages that are asked about together are screened together: a
    tenth of a millisecond each, and one look-up for all. Every other message has a thread to itself, so that a slow
    file or daemon holds up its own recipients and nobody else's.
    """

    def __init__(self, database: DatabaseThreads, *, at_once: int = 8) -> None:
        self._database = database
        self._slots = asyncio.Semaphore(at_once)
        self._answers: dict[uuid.UUID, asyncio.Future[Change | None]] = {}
        self._asked: dict[uuid.UUID, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def change_of(self, message_id: uuid.UUID, size_bytes: int) -> Change | None:
        """None when the message may go on its way, or what its deliveries become instead.

        Raises what `screen_before_sending` raises.
        """
        answer = self._answers.get(message_id)
        if answer is None:
            loop = asyncio.get_running_loop()
            answer = self._answers[message_id] = loop.create_future()
            if not self._asked:
                loop.call_soon(self._start)
            self._asked[message_id] = size_bytes
        # Shielded: one recipient that is told to stop must not take the verdict from the others.
        return await asyncio.shield(answer)

    def _start(self) -> None:
        asked, self._asked = self._asked, {}
        small = [] if asks_daemons() else [one for one, size in asked.items() if size <= MAX_PLAIN_BYTES]
        if small:
            self._spawn(self._together(small))
        for message_id in asked.keys() - set(small):
            self._spawn(self._apart(message_id))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _together(self, message_ids: list[uuid.UUID]) -> None:
        try:
            changes = await self._database(screen_before_sending, message_ids)
        except Exception:  # noqa: BLE001  # one message whose bytes are gone must not hold up the others
            for message_id in message_ids:
                self._spawn(self._apart(message_id))
            return
        for message_id in message_ids:
            self._settle(message_id, changes.get(message_id))

    async def _apart(self, message_id: uuid.UUID) -> None:
        async with self._slots:
            try:
                changes = await run_in_daemon_thread(screen_before_sending, [message_id])
            except Exception as error:  # noqa: BLE001  # whoever asked gets it
                self._settle(message_id, error)
                return
        self._settle(message_id, changes.get(message_id))

    def _settle(self, message_id: uuid.UUID, outcome: Change | Exception | None) -> None:
        answer = self._answers.pop(message_id)
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
            answer.exception()  # asked for, so that nobody's having been stopped meanwhile is no complaint in the log
        else:
            answer.set_result(outcome)
