"""What happened to a ticket, as lines between its messages: what was moved, and why nobody was acknowledged."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.automation.models import Acknowledgement
from apps.mailboxes.models import Message
from apps.tickets.models import MoveKind, Ticket, TicketMove
from apps.tickets.selectors import moves_of


@dataclass(frozen=True, slots=True)
class ShownMove:
    """One move, told in the ticket that is open. `other` is the ticket at its other end."""

    move: TicketMove
    at: datetime
    sentence: str
    other: Ticket


@dataclass(frozen=True, slots=True)
class ShownRemark:
    """One sentence about what the product did or left undone."""

    remark: str
    at: datetime


def moves_shown(ticket: Ticket) -> list[ShownMove]:
    """What was moved in and out and not taken back."""
    return [_shown(move, ticket) for move in moves_of(ticket) if move.undone_at is None]


def withheld_shown(acknowledgement: Acknowledgement | None) -> list[ShownRemark]:
    """Why the customer got no acknowledgement, where the mailbox sends them."""
    if acknowledgement is None or not acknowledgement.reason or acknowledgement.finished_at is None:
        return []
    words = _("No acknowledgement was sent. %(reason)s") % {"reason": acknowledgement.reason}
    return [ShownRemark(words, acknowledgement.finished_at)]


def hints_for(ticket: Ticket | None, messages: Sequence[Message]) -> dict[uuid.UUID, Ticket]:
    """For messages that quote another conversation and were not let in: its ticket, in the same mailbox."""
    quoted = {
        one.pk: uuid.UUID(one.filed["message"])
        for one in messages
        if one.filed_rule == "stranger" and "message" in one.filed
    }
    if ticket is None or not quoted:
        return {}
    threads = dict(Message.objects.filter(pk__in=quoted.values()).values_list("pk", "thread_id"))
    tickets = Ticket.objects.filter(mailbox=ticket.mailbox_id, thread__in=threads.values(), merged_into=None)
    by_thread = {one.thread_id: one for one in tickets.exclude(pk=ticket.pk)}
    return {
        message_id: by_thread[threads[parent_id]]
        for message_id, parent_id in quoted.items()
        if threads.get(parent_id) in by_thread
    }


def _shown(move: TicketMove, ticket: Ticket) -> ShownMove:
    came_in = move.target_id == ticket.pk
    count = len(move.message_ids)
    words = {
        "by": move.mover_name,
        "count": count,
        "number": (move.source if came_in else move.target).number,
    }
    if move.kind == MoveKind.SPLIT:
        sentence = (
            _("%(by)s split this off #%(number)s.")
            if came_in
            else _("%(by)s gave a message a ticket of its own: #%(number)s.")
        )
    elif move.kind == MoveKind.MERGED:
        sentence = (
            _("%(by)s merged #%(number)s into this ticket.")
            if came_in
            else _("%(by)s merged this ticket into #%(number)s.")
        )
    elif came_in:
        sentence = ngettext(
            "%(by)s moved a message here from #%(number)s.",
            "%(by)s moved %(count)s messages here from #%(number)s.",
            count,
        )
    else:
        sentence = ngettext(
            "%(by)s moved a message to #%(number)s.", "%(by)s moved %(count)s messages to #%(number)s.", count
        )
    return ShownMove(move, move.moved_at, sentence % words, move.source if came_in else move.target)
