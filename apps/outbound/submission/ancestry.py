"""What a message answers: as the caller names it, and as the message then says it (RFC 5322 §3.6.4)."""

import uuid
from dataclasses import dataclass

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.filing import Filed, FiledRule
from apps.mailboxes.models import Message
from apps.mailboxes.quoted import known_by_id
from apps.mailboxes.selectors import message_for
from apps.mailboxes.threads import ThreadChoice
from apps.outbound.errors import Fault, SubmissionInvalid
from apps.outbound.submission.validation import can_be_referred_to, check_message_id

MAX_REFERENCES = 20


@dataclass(frozen=True, slots=True)
class Ancestry:
    """What a message answers: the Message-IDs to write, and the conversation where that is known already."""

    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    thread: ThreadChoice | None = None
    answers: Message | None = None


def ancestry_named(principal: Principal, in_reply_to: str) -> Ancestry:
    """What `in_reply_to` names: one of our messages by id, or any Message-ID."""
    if not in_reply_to:
        return Ancestry()
    try:
        message_id = uuid.UUID(in_reply_to)
    except ValueError:
        bare = check_message_id("in_reply_to", in_reply_to)
        parent = known_by_id(principal.organisation_id, [bare]).get(bare)
        return ancestry_of(parent) if parent is not None else Ancestry(bare, (bare,))
    try:
        parent = message_for(principal, message_id)
    except NotVisible as error:
        raise SubmissionInvalid("in_reply_to", "There is no such message.", Fault.UNKNOWN_MESSAGE) from error
    return ancestry_of(parent)


def ancestry_of(parent: Message) -> Ancestry:
    """RFC 5322 §3.6.4: the parent's references and the parent itself, the middle left out when there are too many."""
    chain = [one for one in [*parent.references, parent.rfc_message_id] if can_be_referred_to(one)]
    chain = list(dict.fromkeys(chain))
    kept = chain if len(chain) <= MAX_REFERENCES else [chain[0], *chain[1 - MAX_REFERENCES :]]
    in_reply_to = parent.rfc_message_id if can_be_referred_to(parent.rfc_message_id) else ""
    choice = ThreadChoice(parent.thread, Filed(FiledRule.ANSWERS_MESSAGE, {"message": str(parent.pk)}))
    return Ancestry(in_reply_to, tuple(kept), choice, parent)
