"""Reading tickets. A ticket is visible to whoever may see its mailbox."""

import uuid
from collections.abc import Collection, Sequence

from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.mailboxes.conversations import conversation
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Mailbox, Message
from apps.mailboxes.selectors import visible_mailboxes
from apps.mime.address import comparable_address
from apps.tickets.models import HeldMessage, Note, Ticket, TicketMove


def tickets_for(principal: Principal) -> QuerySet[Ticket]:
    """Every ticket the caller may see, with mailbox and assignee at hand."""
    return Ticket.objects.filter(
        organisation_id=principal.organisation_id, mailbox__in=visible_mailboxes(principal).order_by()
    ).select_related("mailbox", "assignee", "merged_into")


def ticket_for(principal: Principal, ticket_id: uuid.UUID | str) -> Ticket:
    """One ticket the caller may see. Raises NotVisible."""
    try:
        return tickets_for(principal).get(pk=ticket_id)
    except (Ticket.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(ticket_id)) from error


def tickets_of(principal: Principal, address: str) -> QuerySet[Ticket]:
    """The tickets that somebody asked for, by their address, newest first. What was merged counts where it went."""
    return (
        tickets_for(principal)
        .filter(requester_address__iexact=comparable_address(address), merged_into=None)
        .order_by("-opened_at", "-id")
    )


def moves_of(ticket: Ticket) -> list[TicketMove]:
    """What was moved into a ticket and out of it, oldest first."""
    return list(
        TicketMove.objects.filter(Q(source=ticket) | Q(target=ticket)).select_related("source", "target")
    )


def move_for(principal: Principal, move_id: uuid.UUID | str) -> TicketMove:
    """One move between tickets the caller may see. Raises NotVisible."""
    visible = tickets_for(principal).order_by().values("pk")
    try:
        return TicketMove.objects.select_related("source__mailbox", "target__mailbox").get(
            pk=move_id, organisation_id=principal.organisation_id, source__in=visible, target__in=visible
        )
    except (TicketMove.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(move_id)) from error


def ticket_of(mailbox: Mailbox, thread_id: uuid.UUID) -> Ticket | None:
    """The ticket of a conversation in a shared mailbox, if it is one."""
    return (
        Ticket.objects.select_related("mailbox", "assignee", "merged_into")
        .filter(mailbox=mailbox, thread=thread_id)
        .first()
    )


def tickets_by_thread(mailbox: Mailbox, thread_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Ticket]:
    """`ticket_of` for a page of conversations, in one query."""
    tickets = Ticket.objects.select_related("assignee").filter(mailbox=mailbox, thread__in=thread_ids)
    return {ticket.thread_id: ticket for ticket in tickets}


def ticket_ids_by_message(principal: Principal, messages: Sequence[Message]) -> dict[uuid.UUID, uuid.UUID]:
    """For a page of messages: the visible ticket each belongs to. Messages without one are absent."""
    by_thread = dict(
        tickets_for(principal)
        .filter(thread__in={message.thread_id for message in messages})
        .order_by("-opened_at")
        .values_list("thread_id", "id")
    )
    return {
        message.pk: by_thread[message.thread_id] for message in messages if message.thread_id in by_thread
    }


def messages_of(principal: Principal, ticket: Ticket) -> list[Message]:
    """The ticket's messages, oldest first."""
    return conversation(principal, ticket.mailbox, ticket.thread_id)


def notes_of(ticket: Ticket) -> list[Note]:
    """The ticket's notes, oldest first."""
    return list(ticket.notes.select_related("author"))


def assignable_people(ticket: Ticket) -> QuerySet[User]:
    """Who may be given the ticket: active people who see its mailbox."""
    return ticket.mailbox.members.filter(is_active=True).order_by("name")


def held_for(principal: Principal) -> QuerySet[HeldMessage]:
    """Held mail for the caller's mailboxes, in every state; for an admin all of the organisation's, since somebody must
    be able to let in what was for a colleague who is away.
    """
    held = HeldMessage.objects.filter(organisation_id=principal.organisation_id)
    if not principal.is_admin:
        places = HeldMessage.mailboxes.through.objects.filter(
            heldmessage=OuterRef("pk"), mailbox__in=visible_mailboxes(principal).order_by()
        )
        held = held.filter(Exists(places))
    return held.select_related("raw", "decided_by", "message").prefetch_related("mailboxes")


def held_one(principal: Principal, held_id: uuid.UUID | str) -> HeldMessage:
    """One held mail the caller may see. Raises NotVisible."""
    try:
        return held_for(principal).get(pk=held_id)
    except (HeldMessage.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(held_id)) from error


def held_among(principal: Principal, held_ids: Collection[uuid.UUID]) -> list[HeldMessage]:
    """Those of some that the caller may see, oldest first."""
    return list(held_for(principal).filter(pk__in=held_ids).order_by("received_at", "id"))
