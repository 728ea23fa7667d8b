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

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from apps.mailboxes.filing import Filed, FiledRule
from apps.mailboxes.message_ids import MessageIds, message_ids
from apps.mailboxes.models import Message, Thread, digest_of_message_id
from apps.mime.message import MessageKind, ParsedMessage
from apps.mime.subjects import is_another_subject
from apps.organisations.prepared import executed

# A mail may quote thousands; conversations are found by the nearest.
MAX_QUOTED = 100
_LOCK_TRIES = 5
# In the order of their models, as `from_db` wants them.
_OF_MESSAGE = [
    "id", "thread_id", "direction", "rfc_message_id", "rfc_message_id_digest", "subject", "received_at",
    "machine_turns",
]  # fmt: skip
_OF_THREAD = ["id", "organisation_id", "subject", "created_at"]
_MESSAGE = ", ".join(f"message.{name}" for name in _OF_MESSAGE)
_THREAD = ", ".join(f"thread.{name}" for name in _OF_THREAD)
# One of each: programs that write the same Message-ID into every mail exist. Of "out", "local", "in", the last is what
# others sent.
_KNOWN = f"""
SELECT DISTINCT ON (message.rfc_message_id_digest) {_MESSAGE}, {_THREAD}
FROM mailboxes_message AS message JOIN mailboxes_thread AS thread ON thread.id = message.thread_id
WHERE message.organisation_id = %(organisation)s AND message.rfc_message_id_digest = ANY(%(digests)s)
ORDER BY message.rfc_message_id_digest, message.direction DESC, message.received_at
"""  # noqa: S608 - our own names
_LOCKED = f"""
SELECT {_THREAD} FROM mailboxes_thread AS thread JOIN mailboxes_message AS message ON message.thread_id = thread.id
WHERE message.id = %(message)s FOR UPDATE OF thread
"""  # noqa: S608 - our own names
_STILL_THERE = "SELECT FROM mailboxes_message WHERE id = %(message)s AND thread_id = %(thread)s"
_ADDRESSED = " OR ".join(
    f"lower({field}::text)::jsonb @> %(named)s" for field in ('"to"', "cc", "bcc", "reply_to")
)
_TOOK_PART = f"""
SELECT FROM mailboxes_message WHERE thread_id = %(thread)s AND NOT new_participant
    AND (upper(sender_address) = upper(%(address)s) OR {_ADDRESSED}) LIMIT 1
"""


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
        with executed(_LOCKED, {"message": message.pk}) as cursor:
            [row] = cursor
        thread = Thread.from_db(connection.alias, _OF_THREAD, row)
        with executed(_STILL_THERE, {"message": message.pk, "thread": thread.pk}) as cursor:
            if cursor.rowcount:
                break
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
    with executed(_KNOWN, {"organisation": organisation_id, "digests": list(by_digest)}) as cursor:
        known = [_message_of(row) for row in cursor]
    return {by_digest[one.rfc_message_id_digest]: one for one in known}


def _message_of(row: tuple[Any, ...]) -> Message:
    columns = len(_OF_MESSAGE)
    message = Message.from_db(connection.alias, _OF_MESSAGE, row[:columns])
    message.thread = Thread.from_db(connection.alias, _OF_THREAD, row[columns:])
    return message


def took_part(thread: Thread, address: str) -> bool:
    """Whether somebody wrote in a conversation or was written to in it, by address. What a newcomer writes makes nobody
    part of it, themselves included, until one of those who were before writes to them.
    """
    if not address:
        return False
    named = Jsonb([{"address": address.lower()}])
    with executed(_TOOK_PART, {"thread": thread.pk, "address": address, "named": named}) as cursor:
        return bool(cursor.rowcount)


def _same_list(thread: Thread, parsed: ParsedMessage) -> bool:
    """RFC 2919: whoever writes on a list writes to everybody on it, whom no field names."""
    list_id = dict(parsed.handling).get("list-id", "")
    on_list = Message.objects.filter(
        thread=thread, new_participant=False, handling__contains={"list-id": list_id}
    )
    return bool(list_id) and on_list.exists()
