"""Spam, as an organisation's people see it: what they mark, and what its filter learns from that.

    mark ──▶ SpamMark (opinion)   in the transaction that moves the conversation; `inbound` wakes a worker
               │
    learn_due ─┘  bytes, parse, clues (no transaction); then one transaction: what was learned of the mail before is
                  taken back, what is thought of it now is learned, and the mark keeps by which clues

So each mail is learned at most once, a mark that is taken back is unlearned to the last count, and a crash anywhere
leaves marks that are due. Learning is one at a time in an organisation, by the lock of its `SpamKnowledge`.

A person marks spam, or says that something is none. What a ticket's customer wrote and an agent answered is none
either: without that, few would ever tell the filter what good mail looks like. Such marks are made by
`learn_from_answers`, by a cursor of its own in the event log, until `ENOUGH_ANSWERED` are known.

Bounds: `MAX_CLUES_KEPT` clues an organisation, the rare and old ones giving way; marks are kept for a year, after which
what they taught can no longer be taken back one by one.

Limits: erasing a customer leaves what their mails taught: counts, under 64 bits of the hash of each clue.
"""

import hashlib
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from apps.accounts.principal import Principal
from apps.blobs.errors import BlobMissing
from apps.blobs.models import Blob
from apps.blobs.selectors import read
from apps.classify.spam import Learned, Score, score
from apps.classify.spam_clues import clues_of
from apps.events.models import Event
from apps.events.services import Consumer, publish
from apps.events.wakeups import WakeUp
from apps.mailboxes.models import Direction, Folder, Mailbox, MailboxEntry, Message, MessageKind, Side
from apps.mailboxes.selectors import visible_entries
from apps.mailboxes.services import move_conversation
from apps.mime.bounded import default_parser
from apps.mime.message import ParsedMessage
from apps.organisations.prepared import executed
from apps.tickets.errors import TicketInvalid
from apps.tickets.models import Opinion, SpamClue, SpamKnowledge, SpamMark, Ticket

log = structlog.get_logger(__name__)

LEARN = WakeUp("inbound", "learn_spam")
CONSUMER = "spam"
ANSWERED = "ticket.replied"
MARKED_AT_ONCE = 50
ENOUGH_ANSWERED = 2000
MAX_CLUES_KEPT = 300_000
RARE_FOR = timedelta(days=60)
MARKS_KEPT_FOR = timedelta(days=365)

# Every mail asks, about hundreds of clues: Django took longer to write them into the statement than all the rest takes.
_KNOWN = """
SELECT digest, spam, ham FROM tickets_spamclue
WHERE organisation_id = %(organisation)s AND digest = ANY(%(digests)s::bigint[])
"""
_MARK = """
INSERT INTO tickets_spammark
    (id, organisation_id, sha256, opinion, learned, clues, by_person, marked_by_id, marked_at)
SELECT gen_random_uuid(), %(organisation)s, one, %(opinion)s, '', '{}', %(by_person)s, %(user)s, %(now)s
FROM unnest(%(hashes)s::bytea[]) AS one ORDER BY one
ON CONFLICT (organisation_id, sha256) DO UPDATE SET
    opinion = EXCLUDED.opinion, by_person = EXCLUDED.by_person, marked_by_id = EXCLUDED.marked_by_id,
    marked_at = EXCLUDED.marked_at
WHERE tickets_spammark.opinion <> EXCLUDED.opinion AND (EXCLUDED.by_person OR NOT tickets_spammark.by_person)
"""
_KNOW = """
INSERT INTO tickets_spamknowledge AS known (organisation_id, spam, ham) VALUES (%(organisation)s, 0, 0)
ON CONFLICT (organisation_id) DO UPDATE SET
    spam = GREATEST(0, known.spam + %(spam)s), ham = GREATEST(0, known.ham + %(ham)s)
"""
_COUNT = """
INSERT INTO tickets_spamclue AS clue (organisation_id, digest, spam, ham, seen_on)
SELECT %(organisation)s, one, GREATEST(0, %(spam)s), GREATEST(0, %(ham)s), %(today)s
FROM unnest(%(digests)s::bigint[]) AS one ORDER BY one
ON CONFLICT (organisation_id, digest) DO UPDATE SET
    spam = GREATEST(0, clue.spam + %(spam)s), ham = GREATEST(0, clue.ham + %(ham)s), seen_on = %(today)s
"""


# judging


def score_of(organisation_id: uuid.UUID, parsed: ParsedMessage, learned: Learned) -> Score | None:
    """How much a mail looks like what was marked as spam; None where too little was marked to tell."""
    if not learned.is_enough:
        return None
    by_digest = {_digest(clue): clue for clue in clues_of(parsed)}
    with executed(_KNOWN, {"organisation": organisation_id, "digests": list(by_digest)}) as cursor:
        counts = {by_digest[digest]: (spam, ham) for digest, spam, ham in cursor}
    return score(counts, learned)


# marking


@transaction.atomic
def mark_conversation(
    principal: Principal, mailbox: Mailbox, thread_id: uuid.UUID, *, is_spam: bool, now: datetime
) -> int:
    """Say that what was received of a conversation is spam, or is none, and move it to Spam or to the Inbox; how many
    messages moved.
    """
    note_opinion_of_threads(
        principal, mailbox, [thread_id], Opinion.SPAM if is_spam else Opinion.HAM, now=now
    )
    return move_conversation(principal, mailbox, thread_id, Folder.SPAM if is_spam else Folder.INBOX)


@transaction.atomic
def mark_message(principal: Principal, message: Message, *, is_spam: bool, now: datetime) -> None:
    """The same of one message's conversation, in every mailbox where the caller may see it.

    Raises TicketInvalid for a message that no stranger wrote.
    """
    if message.direction != Direction.IN:
        raise TicketInvalid("message", "Only mail that was received can be spam.")
    for entry in visible_entries(principal, message):
        if entry.side == Side.RECIPIENT:
            mark_conversation(principal, entry.mailbox, message.thread_id, is_spam=is_spam, now=now)


@transaction.atomic
def move_and_remember(
    principal: Principal, mailbox: Mailbox, thread_id: uuid.UUID, folder: Folder, *, now: datetime
) -> int:
    """Move a conversation. Into Spam it is marked; out of it, other than to the Trash, the mark is taken back."""
    if folder == Folder.SPAM:
        return mark_conversation(principal, mailbox, thread_id, is_spam=True, now=now)
    in_spam = MailboxEntry.objects.filter(mailbox=mailbox, thread_id=thread_id, folder=Folder.SPAM)
    if folder != Folder.TRASH and in_spam.exists():
        note_opinion_of_threads(principal, mailbox, [thread_id], Opinion.NONE, now=now)
    return move_conversation(principal, mailbox, thread_id, folder)


def note_opinion_of_threads(
    principal: Principal,
    mailbox: Mailbox,
    thread_ids: Collection[uuid.UUID],
    opinion: Opinion,
    *,
    now: datetime,
) -> None:
    """`note_opinion` for the newest mails of conversations that strangers wrote, in the caller's transaction."""
    received = Message.objects.filter(
        entries__mailbox=mailbox, entries__side=Side.RECIPIENT, thread__in=thread_ids, direction=Direction.IN
    )
    newest = received.order_by("-received_at").values_list("raw__sha256", flat=True)
    bound = MARKED_AT_ONCE * min(len(thread_ids), MARKED_AT_ONCE)
    _mark(principal, [bytes(one) for one in newest[:bound]], opinion, now=now)


def note_opinion(principal: Principal, raw: Blob, opinion: Opinion, *, now: datetime) -> None:
    """What a person thinks of one mail, in the caller's transaction. The latest word holds."""
    _mark(principal, [bytes(raw.sha256)], opinion, now=now)


def _mark(principal: Principal, hashes: Sequence[bytes], opinion: Opinion, *, now: datetime) -> None:
    if not hashes:
        return
    if opinion == Opinion.NONE:
        known = SpamMark.objects.filter(organisation_id=principal.organisation_id, sha256__in=hashes)
        known.update(opinion=Opinion.NONE, by_person=True, marked_by=principal.user, marked_at=now)
        transaction.on_commit(LEARN.send)
    else:
        user_id = principal.user.pk if principal.user else None
        _insert_marks(principal.organisation_id, hashes, opinion, by_person=True, user=user_id, now=now)
    publish(
        principal.organisation_id, "spam.marked", actor=principal.actor, opinion=opinion, mails=len(hashes)
    )


def _insert_marks(
    organisation_id: uuid.UUID,
    hashes: Collection[bytes],
    opinion: Opinion,
    *,
    by_person: bool,
    user: uuid.UUID | None,
    now: datetime,
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _MARK,
            {
                "organisation": organisation_id,
                "hashes": list(set(hashes)),
                "opinion": opinion.value,
                "by_person": by_person,
                "user": user,
                "now": now,
            },
        )
    transaction.on_commit(LEARN.send)


def _mark_answered(events: Sequence[Event]) -> None:
    by_organisation: dict[uuid.UUID, set[uuid.UUID]] = {}
    for event in events:
        if event.ticket_id is not None:
            by_organisation.setdefault(event.organisation_id, set()).add(event.ticket_id)
    for organisation_id, ticket_ids in sorted(by_organisation.items()):
        known = SpamMark.objects.filter(organisation=organisation_id, opinion=Opinion.HAM, by_person=False)
        if known[:ENOUGH_ANSWERED].count() >= ENOUGH_ANSWERED:
            continue
        threads = Ticket.objects.filter(pk__in=ticket_ids).values("thread")
        written = Message.objects.filter(
            thread__in=threads, direction=Direction.IN, kind=MessageKind.MAIL
        ).order_by("thread_id", "-received_at")
        hashes = written.distinct("thread_id").values_list("raw__sha256", flat=True)
        answered = [bytes(one) for one in hashes]
        if answered:
            _insert_marks(
                organisation_id, answered, Opinion.HAM, by_person=False, user=None, now=timezone.now()
            )


# What agents answered is no spam.
learn_from_answers = Consumer(CONSUMER, _mark_answered, only=Q(kind=ANSWERED))


# learning


@dataclass(frozen=True, slots=True)
class _Lesson:
    """A mark whose opinion is not learned yet, as it was read."""

    mark_id: uuid.UUID
    organisation_id: uuid.UUID
    sha256: bytes
    opinion: Opinion


def is_anything_to_learn() -> bool:
    return _unlearned().exists()


def learn_due(*, limit: int = 100) -> int:
    """Learn what was marked, oldest first; from how many mails. Raises ObjectStoreUnavailable."""
    rows = _unlearned().order_by("marked_at").values_list("pk", "organisation_id", "sha256", "opinion")
    lessons = [
        _Lesson(pk, organisation_id, bytes(sha256), Opinion(opinion))
        for pk, organisation_id, sha256, opinion in rows[:limit]
    ]
    for lesson in lessons:
        _learn(lesson, _clues_of(lesson) if lesson.opinion else ())
    return len(lessons)


def _unlearned() -> QuerySet[SpamMark]:
    return SpamMark.objects.exclude(opinion=F("learned"))


def _clues_of(lesson: _Lesson) -> list[int] | None:
    """The mail's clues, in order; None for one whose bytes have gone."""
    blob = Blob.objects.filter(organisation=lesson.organisation_id, sha256=lesson.sha256).first()
    if blob is None:
        return None
    try:
        parsed = default_parser().parse(read(blob))
    except BlobMissing:
        return None
    return sorted({_digest(clue) for clue in clues_of(parsed)})


@transaction.atomic
def _learn(lesson: _Lesson, clues: Sequence[int] | None) -> None:
    """Make what is learned of a mail what is thought of it, unless somebody has changed their mind meanwhile."""
    marks = SpamMark.objects.select_for_update().filter(pk=lesson.mark_id, opinion=lesson.opinion)
    mark = marks.exclude(learned=lesson.opinion).first()
    if mark is None:
        return
    if mark.learned:
        _count(mark.organisation_id, Opinion(mark.learned), mark.clues, by=-1)
    if clues is None:
        log.warning("spam_mark_without_mail", mark=str(mark.pk))
        mark.delete()
        return
    if lesson.opinion:
        _count(mark.organisation_id, lesson.opinion, clues, by=1)
        marks.filter(pk=mark.pk).update(learned=lesson.opinion, clues=list(clues))
    else:
        mark.delete()


def _count(organisation_id: uuid.UUID, opinion: Opinion, clues: Iterable[int], *, by: int) -> None:
    change: dict[str, Any] = {
        "organisation": organisation_id,
        "spam": by if opinion == Opinion.SPAM else 0,
        "ham": by if opinion == Opinion.HAM else 0,
        "digests": list(clues),
        "today": timezone.now().date(),
    }
    with connection.cursor() as cursor:
        # In two steps, so that the row is there to be locked: whoever learns for this organisation waits here.
        SpamKnowledge.objects.get_or_create(organisation_id=organisation_id)
        cursor.execute(_KNOW, change)
        cursor.execute(_COUNT, change)


def forget_old_clues(now: datetime) -> int:
    """Housekeeping: of organisations that know too many clues, those seen once and long ago; and marks of a year ago.
    How many rows went."""
    forgotten = SpamMark.objects.filter(marked_at__lt=now - MARKS_KEPT_FOR, opinion=F("learned")).delete()[0]
    for organisation_id in SpamKnowledge.objects.values_list("pk", flat=True):
        clues = SpamClue.objects.filter(organisation=organisation_id)
        rare = clues.annotate(seen=F("spam") + F("ham")).filter(seen__lte=1)
        if clues.count() > MAX_CLUES_KEPT:
            forgotten += rare.filter(seen_on__lt=(now - RARE_FOR).date()).delete()[0]
        beyond = clues.count() - MAX_CLUES_KEPT
        if beyond > 0:
            oldest = (
                clues.annotate(seen=F("spam") + F("ham")).order_by("seen", "seen_on").values("pk")[:beyond]
            )
            forgotten += clues.filter(pk__in=list(oldest.values_list("pk", flat=True))).delete()[0]
    return forgotten


def _digest(clue: str) -> int:
    return int.from_bytes(hashlib.sha256(clue.encode("utf-8", "replace")).digest()[:8], signed=True)
