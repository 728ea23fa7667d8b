"""From claims to what goes over the line: leave, bytes, verdicts and signatures of a whole batch at once.

    leave     suppressions, and answers that cancel
    look      at the messages (`looking`), once for all of their recipients
    read      the bytes: the spool's came with the look; the cache's and S3's in one go each
    screen    what has no verdict that still stands
    sign      what leaves the house, where no signature still serves
    keep      verdicts, signatures, the senders' copies from Outbox to Sent: one commit, before any recipient's fence

Asked step by step, each through a batch, a thread and queries of its own, a mail of 4 KB took 1.65 ms of CPU and its
bytes were read twice. In one go it takes 0.6 ms, of which 0.3 are the signatures', without the interpreter's lock.
Batches of a hundred cost a tenth less than batches of thirty.

The keeping is committed without waiting for the disk. Commits reach it in order, so the fence of the first recipient,
or the result that says why there is none, which does wait, makes it durable before anybody goes by it.

A crash before the keeping leaves nothing, and the messages are prepared again; after it, verdicts and signatures that
are used again. A message whose bytes cannot be had, or over which we stumble, gets its error; the others get theirs.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import Enum

from django.db import connection, transaction

from apps.blobs.selectors import read_many
from apps.mailboxes.services import take_out_of_outbox
from apps.organisations.database_threads import DATABASE_AWAY
from apps.outbound.delivery import Claim
from apps.outbound.draining.before_sending import outcome_before
from apps.outbound.draining.looking import Seen, look_at
from apps.outbound.models import Route
from apps.outbound.screening import Screened, keep_verdicts, screen_for_sending, some_recipients_of
from apps.outbound.signing.sending import Signature, keep_signatures, signature_for
from apps.outbound.transitions import Change
from apps.outbound.wire.payload import Payload, with_wire_line_ends
from apps.screening.screen import asks_daemons
from apps.screening.walk import MAX_PLAIN_BYTES

SMALL_BYTES = MAX_PLAIN_BYTES


class Instead(Enum):
    """A claim's answer where it is neither a payload nor an end.

    GO: it may be sent; its message's payload is in hand, or none is needed. APART: its message is large, or a daemon
    has to be asked about it, or something failed in its company, and nobody else should have to wait for that.
    """

    GO = "go"
    APART = "apart"


Answer = Payload | Change | Instead | Exception


def prepare(
    claims: Sequence[Claim], in_hand: Collection[uuid.UUID], now: datetime, *, apart: bool = False
) -> list[Answer]:
    """For each claim its message's payload, what it becomes instead of being sent, or the error that concerns it.

    No payload is made of messages `in_hand`. Blocks, and `apart` for as long as scanners take: call it in a database
    thread, with no transaction open. The errors are ObjectStoreUnavailable, BlobMissing, or a fault of ours; raised is
    only what says that PostgreSQL is away.
    """
    ended = outcome_before(claims, now)
    going = [claim for claim in claims if claim.token not in ended]
    leaving = {claim.message_id for claim in going if claim.route == Route.RELAY}.difference(in_hand)
    made = _make({claim.message_id for claim in going}, leaving, now, apart=apart)
    return [ended.get(claim.token) or made.get(claim.message_id, Instead.GO) for claim in claims]


def _make(
    message_ids: Collection[uuid.UUID], leaving: Collection[uuid.UUID], now: datetime, *, apart: bool
) -> dict[uuid.UUID, Answer]:
    """What all recipients of each of these messages get; payloads of those `leaving` the house only."""
    try:
        return _make_together(message_ids, leaving, now, apart=apart)
    except DATABASE_AWAY:
        raise
    except Exception as error:  # noqa: BLE001 - one message must not spoil the lot
        # Apart each is told what is true of it, and those whose bytes an S3 that hangs does not give hold up nobody.
        answer = error if len(message_ids) == 1 else Instead.APART
        return dict.fromkeys(message_ids, answer)


def _make_together(
    message_ids: Collection[uuid.UUID], leaving: Collection[uuid.UUID], now: datetime, *, apart: bool
) -> dict[uuid.UUID, Answer]:
    seen = look_at(message_ids, small_bytes=SMALL_BYTES)
    changes = {
        one.id: one.verdict.change for one in seen if one.verdict and one.verdict.stands(one.policy, now)
    }
    to_screen = [one for one in seen if one.id not in changes]
    to_sign = [one for one in seen if one.id in leaving and changes.get(one.id) is None]
    left = set() if apart else _may_take_long(to_screen, to_sign)
    to_screen = [one for one in to_screen if one.id not in left]
    to_sign = [one for one in to_sign if one.id not in left]

    contents = _read({one.id: one for one in (*to_screen, *to_sign)})
    screened = _screen(to_screen, contents, now)
    changes |= {one.message_id: one.change for one in screened}
    clean = {message_id for message_id, change in changes.items() if change is None}
    payloads, signatures = _sign([one for one in to_sign if one.id in clean], contents, now)
    _keep(screened, signatures, [one.id for one in seen if one.is_in_outbox and one.id in clean])

    made: dict[uuid.UUID, Answer] = {one: change for one, change in changes.items() if change is not None}
    return made | payloads | dict.fromkeys(left, Instead.APART)


def _may_take_long(to_screen: Sequence[Seen], to_sign: Sequence[Seen]) -> set[uuid.UUID]:
    large = {one.id for one in (*to_screen, *to_sign) if one.size_bytes > SMALL_BYTES}
    return large | {one.id for one in to_screen} if asks_daemons() else large


def _read(messages: Mapping[uuid.UUID, Seen]) -> dict[uuid.UUID, bytes]:
    """Their stored bytes. Raises what `read_many` raises."""
    elsewhere = read_many(one.raw for one in messages.values() if one.spooled is None)
    return {
        message_id: one.spooled if one.spooled is not None else elsewhere[one.raw_id]
        for message_id, one in messages.items()
    }


def _screen(messages: Sequence[Seen], contents: Mapping[uuid.UUID, bytes], now: datetime) -> list[Screened]:
    # Only a daemon's judgement depends on them.
    recipients = some_recipients_of([one.id for one in messages]) if messages and asks_daemons() else {}
    if any(one.size_bytes > SMALL_BYTES for one in messages) or recipients:
        # This thread may wait now; meanwhile others may have its connection.
        connection.close()
    return [
        Screened.of(
            one.id,
            one.organisation_id,
            screen_for_sending(contents[one.id], one.sender, recipients.get(one.id, ()), one.policy),
            now,
            tries_before=one.verdict.tries if one.verdict else 0,
        )
        for one in messages
    ]


def _sign(
    messages: Sequence[Seen], contents: Mapping[uuid.UUID, bytes], now: datetime
) -> tuple[dict[uuid.UUID, Payload], dict[uuid.UUID, Signature]]:
    """What goes over the line for each of these messages, and those signatures that had to be made for it."""
    payloads, made = dict[uuid.UUID, Payload](), dict[uuid.UUID, Signature]()
    for one in messages:
        lines = with_wire_line_ends(contents[one.id])
        signature = signature_for(one.sender, one.received_at, lines, one.signature, now)
        if signature is not None and signature is not one.signature:
            made[one.id] = signature
        payloads[one.id] = Payload.of(signature.fields + lines if signature is not None else lines)
    return payloads, made


def _keep(
    screened: Sequence[Screened], signatures: Mapping[uuid.UUID, Signature], sent: Collection[uuid.UUID]
) -> None:
    if not (screened or signatures or sent):
        return
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO off")
        keep_verdicts(screened)
        keep_signatures(signatures)
        take_out_of_outbox(sent)
