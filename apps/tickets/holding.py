"""Holding received mail back for a person, and what the person decides.

    hold_message ──▶ waiting ──release──▶ released      filed by the very road it would have gone
                       ▲  │
              restore  │  └──discard──▶ discarded       kept for `KEPT_FOR`, then erased by `inbound.sweeper`
                       └───────────────────┘

Each step is one conditional UPDATE of the row and, with it in one transaction, all that follows from it. Two people who
press Release at once release once: the second waits for the first one's commit and is given the same message. A crash
before a commit leaves the mail as it was.

Release files the mail as it came: with the time at which we took it, into the conversation it belongs to by now, with
what was found out about its sender. It comes to the top of the lists, for nobody has seen it yet; and it is not
judged again. A report lies beneath the mail of ours that it is about, where it would have lain at once.

Nothing leaves by itself, with one exception: what was held because a scanner did not answer is judged anew when all of
them do (`inbound.admission`).

Limits: mail for several mailboxes is held once, and one member of one of them decides for all.
"""

import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.accounts.errors import AdminsOnly
from apps.accounts.principal import Principal
from apps.blobs.models import Blob
from apps.blobs.selectors import read
from apps.blobs.services import staged_before
from apps.events.notices import announce
from apps.events.services import publish
from apps.mailboxes.addresses import fallback_mailbox
from apps.mailboxes.models import Mailbox, MailboxEntry, Message, Side
from apps.mailboxes.projection import PreparedMessage, prepare
from apps.mime.message import MessageKind
from apps.tickets.errors import NotHeld
from apps.tickets.intake import file_beneath, file_message
from apps.tickets.models import HeldMessage, HeldState, HoldCause, Opinion, Ticket
from apps.tickets.selectors import held_among
from apps.tickets.spam import note_opinion
from apps.tickets.trust import trust_sender

PREVIEW_CHARS = 4000
FILES_TOLD = 50
KEPT_FOR = timedelta(days=30)
SECONDS_AT_ONCE = 20.0


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a mail is held: a stable code, a sentence for a person, and the evidence.

    `look_again`: nobody could look at it yet, and that may change within minutes: it need not be held at once.
    `is_harmful`: it is held for what it carries or may carry, and not only for what it says and in whose name.
    """

    cause: HoldCause
    reason: str
    details: tuple[str, ...] = ()
    look_again: bool = False
    is_harmful: bool = False


def hold_message(
    prepared: PreparedMessage,
    hold: Hold,
    *,
    organisation_id: uuid.UUID,
    mailboxes: Sequence[Mailbox],
    received_at: datetime,
    raw_blob: Blob,
    envelope_sender: str,
    authentication: dict[str, Any] | None,
    now: datetime,
    about: Message | None = None,
) -> HeldMessage:
    """Hold a received message, in the caller's transaction. `about`: the mail of ours that it reports on."""
    parsed = prepared.parsed
    held = HeldMessage.objects.create(
        organisation_id=organisation_id,
        raw=raw_blob,
        envelope_sender=envelope_sender,
        received_at=received_at,
        authentication=authentication,
        about=about,
        kind=parsed.kind.value,
        sender_name=parsed.sender.name,
        sender_address=parsed.sender.address,
        to=[{"name": one.name, "address": one.address} for one in parsed.to[:FILES_TOLD]],
        subject=parsed.subject,
        preview=parsed.text[:PREVIEW_CHARS],
        files=[
            {"filename": part.filename, "content_type": part.content_type, "size_bytes": len(part.data)}
            for part in parsed.parts[:FILES_TOLD]
        ],
        size_bytes=prepared.raw.size_bytes,
        cause=hold.cause,
        reason=hold.reason,
        details=list(hold.details),
        held_at=now,
    )
    held.mailboxes.set(mailboxes)
    publish(organisation_id, "message.held", held=str(held.pk), cause=hold.cause)
    announce([one.pk for one in mailboxes], "held")
    return held


def release(principal: Principal, held: HeldMessage, *, now: datetime, trust: bool = False) -> Message:
    """File held mail as if it had never been held; the message. Released already: the message of that time.

    `trust`: hold no more of its sender's mail as spam. Raises AdminsOnly for a virus that somebody else than an admin
    would let in; NotHeld when it was discarded, or has nowhere to go; ObjectStoreUnavailable.
    """
    if held.only_admins_release and not principal.is_admin:
        raise AdminsOnly(_("A scanner found a virus in it: only an admin can let it in."))
    raw = read(held.raw)
    prepared = prepare(raw, staged=staged_before(held.raw, raw))
    # A bounce is told from other mail by more than its structure, and was when it came.
    prepared = replace(prepared, parsed=replace(prepared.parsed, kind=MessageKind(held.kind)))
    with transaction.atomic():
        if not _decide(principal, held, HeldState.RELEASED, of=HeldState.WAITING):
            return _released_before(held)
        message = _file(held, prepared, now)
        HeldMessage.objects.filter(pk=held.pk).update(message=message)
        if trust and held.sender_address:
            trust_sender(principal, held.sender_address, now=now)
        if trust or held.cause == HoldCause.SPAM:
            note_opinion(principal, held.raw, Opinion.HAM, now=now)
        _tell(principal, held, "message.released", message.pk)
    return message


def _file(held: HeldMessage, prepared: PreparedMessage, now: datetime) -> Message:
    if held.about is not None:
        return file_beneath(
            held.about,
            prepared,
            received_at=held.received_at,
            raw_blob=held.raw,
            authentication=held.authentication,
        )
    message = file_message(
        prepared,
        organisation_id=held.organisation_id,
        mailboxes=_places(held),
        received_at=held.received_at,
        raw_blob=held.raw,
        envelope_sender=held.envelope_sender,
        authentication=held.authentication,
    )
    _lay_on_top(message, now)
    return message


def discard(principal: Principal, held: HeldMessage, *, now: datetime) -> None:
    """Take held mail away. For `KEPT_FOR` it can be restored. Raises NotHeld when it is not waiting any more.

    Who throws away what the filter took for spam agrees with it, and the filter learns that.
    """
    with transaction.atomic():
        if not _decide(principal, held, HeldState.DISCARDED, of=HeldState.WAITING):
            raise NotHeld(_("It is not held any more."))
        if held.cause == HoldCause.SPAM:
            note_opinion(principal, held.raw, Opinion.SPAM, now=now)
        _tell(principal, held, "message.discarded")


def restore(principal: Principal, held: HeldMessage, *, now: datetime) -> None:
    """Bring discarded mail back to what is held. Raises NotHeld when it was not discarded."""
    with transaction.atomic():
        discarded = HeldMessage.objects.filter(pk=held.pk, state=HeldState.DISCARDED)
        if not discarded.update(state=HeldState.WAITING, decided_at=None, decided_by=None, decided_actor=""):
            raise NotHeld(_("It was not discarded, or it is too late."))
        if held.cause == HoldCause.SPAM:
            note_opinion(principal, held.raw, Opinion.NONE, now=now)
        _tell(principal, held, "message.restored")


def decide_several(
    principal: Principal, held_ids: Collection[uuid.UUID], wish: str, *, now: datetime
) -> list[HeldMessage]:
    """Release, discard or restore what of `held_ids` the caller may see and is not decided yet; those it was done to.

    A virus is let in by itself and after a warning, never among others. What has not begun within `SECONDS_AT_ONCE`
    stays as it is: each may be as slow to read as hostile mail can be made, and a browser waits for all of them.
    Raises ObjectStoreUnavailable; then some are done and some are not.
    """
    done: list[HeldMessage] = []
    deadline = time.monotonic() + SECONDS_AT_ONCE
    for held in held_among(principal, held_ids):
        if time.monotonic() > deadline:
            break
        try:
            if wish == "release" and held.only_admins_release:
                continue
            if wish == "release":
                release(principal, held, now=now)
            elif wish == "discard":
                discard(principal, held, now=now)
            else:
                restore(principal, held, now=now)
        except (AdminsOnly, NotHeld):
            continue
        done.append(held)
    return done


def _decide(principal: Principal, held: HeldMessage, state: HeldState, *, of: HeldState) -> bool:
    """Whether it was ours to decide. The row stays locked until the caller's transaction ends."""
    waiting = HeldMessage.objects.filter(pk=held.pk, state=of)
    return bool(
        waiting.update(
            state=state, decided_at=Now(), decided_by=principal.user, decided_actor=principal.actor
        )
    )


def _released_before(held: HeldMessage) -> Message:
    """What somebody else, or the same person a moment ago, has made of it."""
    row = HeldMessage.objects.select_related("message").filter(pk=held.pk).first()
    if row is not None and row.state == HeldState.DISCARDED:
        raise NotHeld(_("It was discarded meanwhile. Restore it first."))
    if row is None or row.message is None:
        raise NotHeld(_("It is not held any more."))
    return row.message


def _places(held: HeldMessage) -> list[Mailbox]:
    """Where it was to go; where all of that has gone meanwhile, the organisation's fallback."""
    mailboxes = list(held.mailboxes.all())
    if mailboxes:
        return mailboxes
    fallback = fallback_mailbox(held.organisation_id)
    if fallback is None:
        raise NotHeld(_("There is no mailbox left to put it into."))
    return [fallback]


def _lay_on_top(message: Message, now: datetime) -> None:
    """Lists go by when it could first be seen; the message itself keeps the time it came."""
    MailboxEntry.objects.filter(message=message, side=Side.RECIPIENT).update(sorted_at=now)
    Ticket.objects.filter(thread=message.thread_id, mailbox__entries__message=message).update(
        last_activity_at=now
    )


def _tell(principal: Principal, held: HeldMessage, kind: str, message_id: uuid.UUID | None = None) -> None:
    publish(
        held.organisation_id,
        kind,
        message_id=message_id,
        actor=principal.actor,
        held=str(held.pk),
        cause=held.cause,
    )
    announce(list(held.mailboxes.values_list("pk", flat=True)), "held")
