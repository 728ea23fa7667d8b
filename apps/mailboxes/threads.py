"""Which conversation a message belongs to.

By In-Reply-To, then by References from the newest, among messages this organisation knows (RFC 5322 §3.6.4); otherwise
a new conversation. Subjects never decide: strangers who answer the same newsletter would meet in one ticket.

Limits: any known reference joins; that its sender had no part in the conversation so far is told in `because`, which
people see, and is not yet a reason to keep them apart.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from apps.mailboxes.models import Message, Thread, digest_of_message_id
from apps.mime.message import ParsedMessage


@dataclass(frozen=True, slots=True)
class ThreadChoice:
    """`begins`: the conversation was made for this message, and is written with it."""

    thread: Thread
    because: str
    begins: bool = False


def choose_thread(organisation_id: uuid.UUID, parsed: ParsedMessage) -> ThreadChoice:
    """The conversation of a message, in the caller's transaction; an existing one is locked until it ends.

    The lock makes two answers that arrive together see each other, so that they share one ticket.
    """
    parent = _known_parent(organisation_id, [*parsed.in_reply_to, *reversed(parsed.references)])
    if parent is None:
        thread = Thread(organisation_id=organisation_id, subject=parsed.subject)
        return ThreadChoice(
            thread, "It answers no message we know, so it starts a conversation.", begins=True
        )
    thread = Thread.objects.select_for_update().get(pk=parent.thread_id)
    because = f"It answers <{parent.rfc_message_id}>, which we know."
    if not _took_part(thread, parsed.sender.address):
        because += " Its sender is new to this conversation."
    return ThreadChoice(thread, because)


def _known_parent(organisation_id: uuid.UUID, message_ids: Sequence[str]) -> Message | None:
    if not message_ids:
        return None
    order: dict[uuid.UUID, int] = {}
    for position, message_id in enumerate(message_ids):
        order.setdefault(digest_of_message_id(message_id), position)
    known = Message.objects.filter(organisation_id=organisation_id, rfc_message_id_digest__in=order).only(
        "id", "thread_id", "rfc_message_id", "rfc_message_id_digest", "received_at"
    )
    return min(known, key=lambda one: (order[one.rfc_message_id_digest], one.received_at), default=None)


def _took_part(thread: Thread, address: str) -> bool:
    if not address:
        return False
    messages = Message.objects.filter(thread=thread)
    return (
        messages.filter(sender_address__iexact=address).exists()
        or messages.filter(to__contains=[{"address": address}]).exists()
        or messages.filter(cc__contains=[{"address": address}]).exists()
    )
