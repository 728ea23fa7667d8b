"""What people do with tickets: change them, assign them, remark on them, answer them."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.principal import Principal
from apps.classify.priority import Because
from apps.events.notices import announce
from apps.events.services import publish
from apps.mailboxes.models import Direction, Message, MessageKind, Side
from apps.mime.clean import clean_text
from apps.tickets.errors import TicketInvalid
from apps.tickets.mentions import keep_mentions
from apps.tickets.models import Note, Ticket, TicketPriority, TicketState
from apps.tickets.selectors import assignable_people, ticket_of

MAX_TAGS = 50
MAX_TAG_CHARS = 100
MAX_NOTE_CHARS = 100_000
_A_PERSONS = frozenset({MessageKind.MAIL, MessageKind.CALENDAR})


class _Unchanged:
    """Tells "leave the assignee" from "take the assignee away"."""


UNCHANGED: Final = _Unchanged()


@transaction.atomic
def change_ticket(
    principal: Principal,
    ticket: Ticket,
    *,
    state: str | None = None,
    assignee_id: uuid.UUID | _Unchanged | None = UNCHANGED,
    priority: str | None = None,
    tags: Sequence[str] | None = None,
    now: datetime,
) -> Ticket:
    """Change what is given and leave the rest. Raises TicketInvalid naming the field."""
    if ticket.merged_into_id is not None and state is not None:
        raise TicketInvalid("state", _("It was merged into another ticket: change that one."))
    changes: dict[str, Any] = {}
    if state is not None:
        changes |= _state_change(_choice("state", state, TicketState), now)
    if priority is not None:
        changes["priority"] = _choice("priority", priority, TicketPriority)
        changes["priority_because"] = Because.SET_BY_A_PERSON.value
    if not isinstance(assignee_id, _Unchanged):
        changes["assignee_id"] = _assignee(ticket, assignee_id)
    if tags is not None:
        changes["tags"] = _tags(tags)
    if not changes:
        return ticket
    Ticket.objects.filter(pk=ticket.pk).update(**changes)
    publish(
        ticket.organisation_id,
        "ticket.changed",
        ticket_id=ticket.pk,
        actor=principal.actor,
        fields=",".join(sorted(changes.keys() - {"priority_because"})),
    )
    announce([ticket.mailbox_id], "tickets")
    return Ticket.objects.select_related("mailbox", "assignee").get(pk=ticket.pk)


def add_note(principal: Principal, ticket: Ticket, text: str, *, now: datetime) -> Note:
    """A remark that only the team sees, in the ticket or where that was merged into: it may have been begun before.

    Raises TicketInvalid for an empty or endless one.
    """
    text = clean_text(text).strip()
    if not text:
        raise TicketInvalid("text", "A note needs some text.")
    if len(text) > MAX_NOTE_CHARS:
        raise TicketInvalid("text", f"A note has at most {MAX_NOTE_CHARS:,} characters.")
    with transaction.atomic():
        ticket = Ticket.objects.select_for_update().get(pk=ticket.pk)
        while ticket.merged_into_id is not None:
            ticket = Ticket.objects.select_for_update().get(pk=ticket.merged_into_id)
        note = Note.objects.create(
            organisation_id=ticket.organisation_id,
            ticket=ticket,
            author=principal.user,
            author_name=name_of(principal),
            text=text,
        )
        keep_mentions(note)
        Ticket.objects.filter(pk=ticket.pk).update(last_activity_at=now)
        publish(
            ticket.organisation_id,
            "ticket.noted",
            ticket_id=ticket.pk,
            actor=principal.actor,
            note=str(note.pk),
        )
        announce([ticket.mailbox_id], "tickets")
    return note


def record_reply(
    principal: Principal, ticket: Ticket, message: Message, *, state: str | None, now: datetime
) -> None:
    """Note an answer, in the submission's transaction. The ticket is pending unless told otherwise."""
    new_state = _choice("state", state or TicketState.PENDING, TicketState)
    # It may have been merged, or the message that this answers moved, while the answer was on its way.
    ticket = ticket_of(ticket.mailbox, message.thread_id) or ticket
    changes: dict[str, Any] = _state_change(new_state, now) | {"last_activity_at": now}
    if ticket.assignee_id is None and principal.user is not None:
        changes["assignee_id"] = principal.user.pk
    Ticket.objects.filter(pk=ticket.pk).update(**changes)
    publish(
        ticket.organisation_id,
        "ticket.replied",
        ticket_id=ticket.pk,
        message_id=message.pk,
        actor=principal.actor,
        state=new_state,
    )
    announce([ticket.mailbox_id], "tickets")


def record_answer(principal: Principal, message: Message, now: datetime) -> None:
    """Note a message that was written elsewhere than in its ticket, as in a mail program: where a person's mail leaves
    the house in the conversation of a ticket, from the ticket's mailbox, it is the answer. In the submission's
    transaction."""
    marked = message.handling.get("auto-submitted", "no").strip().lower()
    if message.direction != Direction.OUT or message.kind not in _A_PERSONS or marked != "no":
        return
    copy = message.entries.filter(side=Side.SENDER).select_related("mailbox").first()
    ticket = ticket_of(copy.mailbox, message.thread_id) if copy is not None else None
    if ticket is not None:
        record_reply(principal, ticket, message, state=None, now=now)


def _state_change(state: str, now: datetime) -> dict[str, Any]:
    return {"state": state, "solved_at": now if state == TicketState.SOLVED else None}


def _choice(field: str, value: str, choices: type[TicketState] | type[TicketPriority]) -> str:
    if value not in choices.values:
        raise TicketInvalid(field, f"Must be one of {', '.join(choices.values)}.")
    return value


def _assignee(ticket: Ticket, assignee_id: uuid.UUID | None) -> uuid.UUID | None:
    if assignee_id is not None and not assignable_people(ticket).filter(pk=assignee_id).exists():
        raise TicketInvalid("assignee", "Nobody with this id sees the ticket's mailbox.")
    return assignee_id


def _tags(tags: Sequence[str]) -> list[str]:
    cleaned = list(dict.fromkeys(clean_text(tag).strip() for tag in tags))
    if len(cleaned) > MAX_TAGS or any(not tag or len(tag) > MAX_TAG_CHARS for tag in cleaned):
        raise TicketInvalid("tags", f"At most {MAX_TAGS} tags of 1 to {MAX_TAG_CHARS} characters each.")
    return cleaned


def name_of(principal: Principal) -> str:
    """Who did something, as the team reads it."""
    if principal.user is not None:
        return principal.user.name
    return principal.api_key.name if principal.api_key else ""
