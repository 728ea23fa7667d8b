"""Messages that a person moves from one conversation to another, with everything that hangs on them.

A message belongs to one conversation, whichever mailboxes it lies in; its entries go with it, its parts, deliveries and
flags stay what they are, and what is snoozed comes back when it would have. Both conversations are locked first, in the
order of their ids, which is what filing waits for (`threads`): an answer that arrives meanwhile finds the message where
it is afterwards.

All of it is in the caller's transaction; a crash before its commit leaves everything where it was.
"""

import json
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django.db import connection

from apps.events.notices import announce
from apps.mailboxes.filing import Filed
from apps.mailboxes.models import MailboxEntry, Message, Thread
from apps.mailboxes.snoozing import carry_moments

_MOVE = """
UPDATE mailboxes_message SET thread_id = %(target)s,
    filed = %(filed)s::jsonb || jsonb_build_object('before', COALESCE(filed -> 'before', filed))
WHERE id = ANY(%(ids)s) AND thread_id = %(source)s RETURNING id
"""
_MOVE_BACK = """
UPDATE mailboxes_message SET thread_id = %(target)s, filed = COALESCE(filed -> 'before', filed)
WHERE id = ANY(%(ids)s) AND thread_id = %(source)s RETURNING id
"""


def lock_threads(thread_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, Thread]:
    """Those conversations, until the caller's transaction ends."""
    locked = Thread.objects.select_for_update().filter(pk__in=set(thread_ids)).order_by("pk")
    return {thread.pk: thread for thread in locked}


def move_messages(
    message_ids: Collection[uuid.UUID], source: Thread, target: Thread, because: Filed | None
) -> list[uuid.UUID]:
    """Move those of the messages that are still in `source`; which. Both must be locked. `because` None puts back what
    was said before an earlier move.
    """
    parameters: dict[str, Any] = {
        "ids": list(message_ids),
        "source": source.pk,
        "target": target.pk,
        "filed": json.dumps(because.as_json()) if because is not None else None,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVE if because is not None else _MOVE_BACK, parameters)
        moved = [row[0] for row in cursor.fetchall()]
    entries = MailboxEntry.objects.filter(message__in=moved)
    carry_moments(entries, source, target)
    entries.update(thread=target)
    announce(set(entries.values_list("mailbox_id", flat=True)))
    return moved


def messages_in(thread: Thread) -> list[uuid.UUID]:
    """All of a conversation, in whichever mailboxes, oldest first."""
    return list(
        Message.objects.filter(thread=thread).order_by("received_at", "id").values_list("pk", flat=True)
    )
