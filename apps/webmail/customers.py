"""The customer of a conversation, as the panel shows them: who takes part, and what they asked before.

Recognised by address, in whatever case it was written; in the caller's own mailboxes and nowhere else.
"""

import uuid
from dataclasses import dataclass

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Mailbox, Message, Side
from apps.mime.address import comparable_address
from apps.tickets.models import Ticket
from apps.tickets.selectors import ticket_of, tickets_of

TICKETS_SHOWN = 20
MESSAGES_READ = 500
PEOPLE_SHOWN = 30


@dataclass(slots=True)
class Participant:
    """Somebody who wrote into a conversation. `is_new`: only as a newcomer so far."""

    name: str
    address: str
    is_customer: bool
    is_new: bool

    @property
    def label(self) -> str:
        return self.name or self.address


@dataclass(frozen=True, slots=True)
class Customer:
    """`count` is of all their other tickets, `tickets` of the newest of them."""

    people: list[Participant]
    tickets: list[Ticket]
    count: int

    @property
    def more(self) -> int:
        return self.count - len(self.tickets)


def count_other_tickets(principal: Principal, ticket: Ticket) -> int:
    """How many more tickets the requester has. Two for people without an address would be strangers to each other."""
    if not ticket.requester_address:
        return 0
    return tickets_of(principal, ticket.requester_address).exclude(pk=ticket.pk).count()


def customer_of(principal: Principal, mailbox: Mailbox, thread_id: uuid.UUID) -> Customer:
    """The panel of a conversation in a mailbox the caller may see. Raises NotVisible for one it has nothing of."""
    wrote = list(
        Message.objects.filter(thread=thread_id, entries__mailbox=mailbox, entries__side=Side.RECIPIENT)
        .order_by("received_at", "id")
        .values_list("sender_name", "sender_address", "new_participant")[:MESSAGES_READ]
    )
    ticket = ticket_of(mailbox, thread_id)
    if not wrote and ticket is None:
        raise NotVisible(str(thread_id))
    address = ticket.requester_address if ticket is not None else wrote[0][1]
    others = tickets_of(principal, address) if address else Ticket.objects.none()
    if ticket is not None:
        others = others.exclude(pk=ticket.pk)
    return Customer(
        people=_people(wrote, address), tickets=list(others[:TICKETS_SHOWN]), count=others.count()
    )


def _people(wrote: list[tuple[str, str, bool]], customer: str) -> list[Participant]:
    people: dict[str, Participant] = {}
    for name, address, is_new in wrote:
        key = comparable_address(address)
        known = people.setdefault(
            key, Participant(name, address, key == comparable_address(customer), is_new)
        )
        known.name = known.name or name
        known.is_new = known.is_new and is_new
    return list(people.values())[:PEOPLE_SHOWN]
