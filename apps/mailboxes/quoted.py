"""What filing asks about the messages that mails quote, for as many mails as are filed together, in one statement each.

`locked_threads_of` is the lock that whoever files into a conversation or moves messages between two of them takes: in
the order of the conversations' ids, so that no two transactions that lock all they need at once wait for each other.
"""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from apps.mailboxes.models import Message, Thread, digest_of_message_id
from apps.organisations.prepared import executed_together

_LOCK_TRIES = 5
# In the order of their models, as `from_db` wants them.
_OF_MESSAGE = [
    "id", "organisation_id", "thread_id", "direction", "rfc_message_id", "rfc_message_id_digest", "subject",
    "received_at", "machine_turns",
]  # fmt: skip
_OF_THREAD = ["id", "organisation_id", "subject", "created_at"]
_MESSAGE = ", ".join(f"message.{name}" for name in _OF_MESSAGE)
_THREAD = ", ".join(f"thread.{name}" for name in _OF_THREAD)
# One of each: programs that write the same Message-ID into every mail exist. Of "out", "local", "in", the last is what
# others sent.
_KNOWN = f"""
SELECT DISTINCT ON (message.organisation_id, message.rfc_message_id_digest) {_MESSAGE}, {_THREAD}
FROM mailboxes_message AS message JOIN mailboxes_thread AS thread ON thread.id = message.thread_id
WHERE message.organisation_id = ANY(%(organisations)s) AND message.rfc_message_id_digest = ANY(%(digests)s)
ORDER BY message.organisation_id, message.rfc_message_id_digest, message.direction DESC, message.received_at
"""  # noqa: S608 - our own names
_LOCKED = f"""
SELECT {_THREAD} FROM mailboxes_thread AS thread WHERE thread.id = ANY(%(threads)s) ORDER BY thread.id FOR UPDATE
"""  # noqa: S608 - our own names
_WHERE_NOW = "SELECT id, thread_id FROM mailboxes_message WHERE id = ANY(%(messages)s)"
_ADDRESSED = " OR ".join(
    f"lower({field}::text)::jsonb @> asked.named" for field in ('"to"', "cc", "bcc", "reply_to")
)
_TOOK_PART = f"""
SELECT asked.n
FROM unnest(%(threads)s::uuid[], %(whos)s::text[], %(named)s::jsonb[])
    WITH ORDINALITY AS asked (thread, address, named, n)
WHERE EXISTS (
    SELECT FROM mailboxes_message WHERE thread_id = asked.thread AND NOT new_participant
        AND (upper(sender_address) = upper(asked.address) OR {_ADDRESSED})
)
"""  # noqa: S608 - our own names
_ON_LIST = """
SELECT asked.n FROM unnest(%(threads)s::uuid[], %(whos)s::text[]) WITH ORDINALITY AS asked (thread, list, n)
WHERE EXISTS (
    SELECT FROM mailboxes_message WHERE thread_id = asked.thread AND NOT new_participant
        AND handling @> jsonb_build_object('list-id', asked.list)
)
"""


def known_messages(
    asked: Collection[tuple[uuid.UUID, uuid.UUID]],
) -> dict[tuple[uuid.UUID, uuid.UUID], Message]:
    """By organisation and digest of a Message-ID, the message of it: the one we wrote before what others sent under its
    name, then the oldest."""
    if not asked:
        return {}
    organisations, digests = (list(set(one)) for one in zip(*asked, strict=True))
    [rows] = executed_together((_KNOWN, {"organisations": organisations, "digests": digests}))
    known = [_message_of(row) for row in rows]
    found = {(one.organisation_id, one.rfc_message_id_digest): one for one in known}
    return {key: found[key] for key in asked if key in found}


def known_by_id(organisation_id: uuid.UUID, message_ids: Sequence[str]) -> dict[str, Message]:
    """The same, of one organisation and by Message-ID."""
    by_digest = {digest_of_message_id(message_id): message_id for message_id in message_ids}
    known = known_messages([(organisation_id, digest) for digest in by_digest])
    return {by_digest[digest]: message for (_organisation, digest), message in known.items()}


def locked_thread_of(message: Message) -> Thread:
    """The message's conversation, locked. Somebody may move the message while we wait for the lock: then its new one.

    Whoever moves messages locks both conversations, so what is read under the lock stays true.
    """
    return locked_threads_of([message])[message.pk]


def locked_threads_of(messages: Collection[Message]) -> dict[uuid.UUID, Thread]:
    """The same for several, by message. Raises Message.DoesNotExist for one that was erased meanwhile."""
    place = {message.pk: message.thread_id for message in messages}
    threads: dict[uuid.UUID, Thread] = {}
    placed: dict[uuid.UUID, Thread] = {}
    for _try in range(_LOCK_TRIES):
        missing = set(place.values()) - threads.keys()
        if not missing:
            break
        locked, where_now = executed_together(
            (_LOCKED, {"threads": list(missing)}), (_WHERE_NOW, {"messages": list(place)})
        )
        threads |= {row[0]: Thread.from_db(connection.alias, _OF_THREAD, row) for row in locked}
        if len(where_now) < len(place):
            raise Message.DoesNotExist
        placed = {one: threads[thread] for one, thread in place.items() if thread in threads}
        place = dict(where_now)
    return placed | {one: threads[thread] for one, thread in place.items() if thread in threads}


def took_part(
    people: Collection[tuple[uuid.UUID, str]], lists: Collection[tuple[uuid.UUID, str]] = ()
) -> tuple[set[tuple[uuid.UUID, str]], set[tuple[uuid.UUID, str]]]:
    """Of conversations and addresses, those where somebody with that address wrote or was written to; and of
    conversations and lists (RFC 2919), those where somebody's mail went over that list. What a newcomer writes makes
    nobody part of it, themselves included, until one of those who were before writes to them.
    """
    asked: list[tuple[str, list[tuple[uuid.UUID, str]], dict[str, list[Any]]]] = []
    if people:
        named = [Jsonb([{"address": address.lower()}]) for _thread, address in people]
        asked.append((_TOOK_PART, list(people), {"named": named}))
    if lists:
        asked.append((_ON_LIST, list(lists), {}))
    answers = executed_together(
        *(
            (
                statement,
                {"threads": [one for one, _who in pairs], "whos": [who for _one, who in pairs], **more},
            )
            for statement, pairs, more in asked
        )
    )
    found = {
        statement: {pairs[n - 1] for (n,) in rows}
        for (statement, pairs, _more), rows in zip(asked, answers, strict=True)
    }
    return found.get(_TOOK_PART, set()), found.get(_ON_LIST, set())


def _message_of(row: tuple[Any, ...]) -> Message:
    columns = len(_OF_MESSAGE)
    message = Message.from_db(connection.alias, _OF_MESSAGE, row[:columns])
    message.thread = Thread.from_db(connection.alias, _OF_THREAD, row[columns:])
    return message
