"""Which conversation a message belongs to. The first of these that holds:

    1. it quotes a Message-ID that we signed, or came to a reply address made of one: that mail's conversation.
       A sender who had no part in it joins as a new participant, marked as one wherever the message is shown
    2. it quotes a message this organisation knows, and its sender took part in that conversation (wrote in it, or was
       written to), or it came over the same mailing list. Anybody can write a list's name into a mail, so that makes a
       new participant, too
    3. nothing: a new conversation. Where a stranger quoted a message we know, the row says of which conversation, and
       a person joins them with one click

In-Reply-To before References, and of those the newest first (RFC 5322 §3.6.4). Subjects never decide: strangers who
answer the same newsletter would meet in one ticket. That one has changed is kept, so that a person can split.

A Message-ID of somebody else's can be known to anybody (archives of lists show them), so quoting it proves nothing;
ours were shown only to those we wrote to, and to whom they passed it on.

Limits: who took part is decided by From. Where its domain says nothing of who may write in its name (no DMARC), a
forged one counts; sender authentication tells that beside the message. Two conversations quoted by one mail are not
joined.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL

from apps.mailboxes.filing import Filed, FiledRule
from apps.mailboxes.message_ids import MessageIds, message_ids
from apps.mailboxes.models import Message, Thread, digest_of_message_id
from apps.mime.message import MessageKind, ParsedMessage
from apps.mime.subjects import is_another_subject

# A mail may quote thousands; conversations are found by the nearest.
MAX_QUOTED = 100
_LOCK_TRIES = 5
_OF_ITS_ID = ("rfc_message_id", "rfc_message_id_digest")
_ADDRESSED = " OR ".join(f"lower({field}::text)::jsonb @> %s" for field in ('"to"', "cc", "bcc", "reply_to"))


@dataclass(frozen=True, slots=True)
class ThreadChoice:
    """`begins`: the conversation was made for this message, and is written with it. `answers`: what led to it."""

    thread: Thread
    because: Filed
    begins: bool = False
    answers: Message | None = None


@dataclass(frozen=True, slots=True)
class _Quoted:
    """A message of this organisation that a mail answers. `signed`: it proved that it was shown ours."""

    message: Message
    rule: FiledRule
    signed: bool


def choose_thread(
    organisation_id: uuid.UUID, parsed: ParsedMessage, *, is_forged: bool = False
) -> ThreadChoice:
    """The conversation of a message, in the caller's transaction; an existing one is locked until it ends. `is_forged`:
    its From is not who sent it (DMARC), and so no proof of having taken part.

    The lock makes two answers that arrive together see each other, so that they share one ticket.
    """
    quoted = _quoted(organisation_id, parsed, message_ids())
    closed: set[uuid.UUID] = set()
    for one in quoted:
        if one.message.thread_id in closed:
            continue  # a stranger may quote a hundred messages of one conversation
        choice = _joined(one, parsed, is_forged=is_forged)
        if choice is not None:
            return choice
        closed.add(one.message.thread_id)
    thread = Thread(organisation_id=organisation_id, subject=parsed.subject)
    if not quoted:
        return ThreadChoice(thread, Filed(FiledRule.STARTS), begins=True)
    nearest = quoted[0].message
    data = {"message_id": nearest.rfc_message_id, "message": str(nearest.pk)}
    return ThreadChoice(thread, Filed(FiledRule.STRANGER, data), begins=True)


def _joined(quoted: _Quoted, parsed: ParsedMessage, *, is_forged: bool) -> ThreadChoice | None:
    """The conversation of the quoted message, where this mail may join it."""
    thread = locked_thread_of(quoted.message) if quoted.signed else quoted.message.thread
    known = took_part(thread, parsed.sender.address)
    if not quoted.signed and (not known or is_forged) and not _same_list(thread, parsed):
        return None
    rule = quoted.rule if quoted.signed or known else FiledRule.ON_THE_LIST
    if not quoted.signed:
        thread = locked_thread_of(quoted.message)
    because = Filed(rule, {"message_id": quoted.message.rfc_message_id}, new_participant=not known)
    if parsed.kind == MessageKind.MAIL and is_another_subject(
        parsed.subject, thread.subject, quoted.message.subject
    ):
        because = because.with_data(subject_changed=True)
    return ThreadChoice(thread, because, answers=quoted.message)


def locked_thread_of(message: Message) -> Thread:
    """The message's conversation, locked. Somebody may move the message while we wait for the lock: then its new one.

    Whoever moves messages locks both conversations, so what is read under the lock stays true.
    """
    for _try in range(_LOCK_TRIES):
        thread = Thread.objects.select_for_update(of=("self",)).get(messages=message.pk)
        if Message.objects.filter(pk=message.pk, thread=thread).exists():
            return thread
    return thread


def _quoted(organisation_id: uuid.UUID, parsed: ParsedMessage, ids: MessageIds) -> list[_Quoted]:
    """The messages we know that a mail answers: those it proves to have been shown first, each kind nearest first."""
    named = [*parsed.in_reply_to, *reversed(parsed.references)][:MAX_QUOTED]
    by_rule: dict[str, FiledRule] = {}
    for message_id in named:
        if ours := ids.ours(organisation_id, message_id):
            by_rule.setdefault(ours, FiledRule.ANSWERS_OURS)
    for address in (*parsed.to, *parsed.cc):
        if ours := ids.answered_at(organisation_id, address.address):
            by_rule.setdefault(ours, FiledRule.ANSWERS_TOKEN)
    signed = list(by_rule)
    for message_id in named:
        by_rule.setdefault(message_id, FiledRule.ANSWERS_KNOWN)
    known = known_by_id(organisation_id, list(by_rule))
    return [
        _Quoted(known[message_id], rule, signed=message_id in signed)
        for message_id, rule in by_rule.items()
        if message_id in known
    ]


def known_by_id(organisation_id: uuid.UUID, message_ids: Sequence[str]) -> dict[str, Message]:
    """By Message-ID, the message of it: the one we wrote before what others sent under its name, then the oldest."""
    if not message_ids:
        return {}
    by_digest = {digest_of_message_id(message_id): message_id for message_id in message_ids}
    rows = (
        Message.objects.filter(organisation_id=organisation_id, rfc_message_id_digest__in=by_digest)
        .select_related("thread")
        .only("thread", "direction", "received_at", "subject", "machine_turns", *_OF_ITS_ID)
        # One of each: programs that write the same Message-ID into every mail exist. Of "out", "local", "in", the last
        # is what others sent.
        .order_by("rfc_message_id_digest", "-direction", "received_at")
        .distinct("rfc_message_id_digest")
    )
    return {by_digest[row.rfc_message_id_digest]: row for row in rows}


def took_part(thread: Thread, address: str) -> bool:
    """Whether somebody wrote in a conversation or was written to in it, by address. What a newcomer writes makes nobody
    part of it, themselves included, until one of those who were before writes to them.
    """
    if not address:
        return False
    named = [f'[{{"address": {json.dumps(address.lower(), ensure_ascii=False)}}}]'] * 4
    addressed = RawSQL(f"({_ADDRESSED})", named)  # noqa: S611 - the fields are ours, the address a parameter
    return (
        _of(thread)
        .annotate(addressed=addressed)
        .filter(Q(sender_address__iexact=address) | Q(addressed=True))
        .exists()
    )


def _same_list(thread: Thread, parsed: ParsedMessage) -> bool:
    """RFC 2919: whoever writes on a list writes to everybody on it, whom no field names."""
    list_id = dict(parsed.handling).get("list-id", "")
    return bool(list_id) and _of(thread).filter(handling__contains={"list-id": list_id}).exists()


def _of(thread: Thread) -> QuerySet[Message]:
    return Message.objects.filter(thread=thread, new_participant=False)
