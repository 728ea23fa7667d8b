"""Tickets: a customer's conversation in a shared mailbox, with a number, a state and somebody who answers it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.classify.priority import Because
from apps.mailboxes.models import Mailbox, Thread
from apps.organisations.models import Organisation, TenantRow
from apps.tickets.models.handled import BulkChange, Deed, Mention
from apps.tickets.models.held import (
    DmarcWish,
    ForbiddenFiles,
    HeldMessage,
    HeldState,
    HoldCause,
    LockedArchives,
    ReceivingPolicy,
    SpamWish,
    TrustedSender,
)
from apps.tickets.models.spam import Opinion, SpamClue, SpamKnowledge, SpamMark

__all__ = [
    "PRIORITY_REASONS",
    "BulkChange",
    "Deed",
    "DmarcWish",
    "ForbiddenFiles",
    "HeldMessage",
    "HeldState",
    "HoldCause",
    "LockedArchives",
    "Mention",
    "Note",
    "Opinion",
    "ReceivingPolicy",
    "SpamClue",
    "SpamKnowledge",
    "SpamMark",
    "SpamWish",
    "Ticket",
    "TicketCounter",
    "TicketPriority",
    "TicketState",
    "TrustedSender",
]


class TicketState(models.TextChoices):
    OPEN = "open", _("Open")
    PENDING = "pending", _("Waiting for the customer")
    SOLVED = "solved", _("Solved")


class TicketPriority(models.TextChoices):
    LOW = "low", _("Low")
    NORMAL = "normal", _("Normal")
    HIGH = "high", _("High")
    URGENT = "urgent", _("Urgent")


PRIORITY_REASONS: dict[str, object] = {
    Because.FROM_A_MACHINE: _("A program wrote the mail: an automatic answer, a bounce or a receipt."),
    Because.FROM_A_LIST: _("The mail came from a mailing list or a newsletter."),
    Because.SENT_IN_BULK: _("The mail says that it was sent in bulk."),
    Because.SUBJECT_SAYS_URGENT: _("The subject begins with a marker for urgent mail."),
    Because.SENDER_MARKED_IT: _("The sender marked the mail with this importance."),
    Because.NOTHING_SPECIAL: _("Nothing in the mail asks for another priority."),
    Because.SET_BY_A_PERSON: _("Somebody of the team set it."),
}


class TicketCounter(models.Model):
    """The last number given in an organisation. Taken as the last step of a transaction, so it is held briefly."""

    organisation = models.OneToOneField(
        Organisation, primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    last_number = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.last_number)


class Ticket(TenantRow):
    """One conversation in one shared mailbox."""

    number = models.PositiveBigIntegerField()
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="tickets")
    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="tickets")
    subject = models.TextField(blank=True)
    state = models.CharField(max_length=16, choices=TicketState.choices, default=TicketState.OPEN)
    priority = models.CharField(max_length=16, choices=TicketPriority.choices, default=TicketPriority.NORMAL)
    priority_because = models.CharField(
        max_length=32, blank=True, help_text=_("The rule that chose it, as a code: classify.Because")
    )
    assignee = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    requester_name = models.TextField(blank=True)
    requester_address = models.TextField(blank=True)
    tags = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    opened_at = models.DateTimeField()
    last_activity_at = models.DateTimeField()
    solved_at = models.DateTimeField(null=True, blank=True)
    merged_into = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "number"], name="ticket_number_once"),
            models.UniqueConstraint(fields=["mailbox", "thread"], name="ticket_once_per_conversation"),
            models.CheckConstraint(
                condition=models.Q(state=TicketState.SOLVED, solved_at__isnull=False)
                | (~models.Q(state=TicketState.SOLVED) & models.Q(solved_at__isnull=True)),
                name="ticket_solved_at_iff_solved",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-last_activity_at", "-id"], name="ticket_latest_first"),
            models.Index(fields=["mailbox", "state", "-last_activity_at"], name="ticket_by_state"),
            models.Index(fields=["thread"], name="ticket_by_thread"),
            # `iexact` asks for the upper case.
            models.Index("organisation", Upper("requester_address"), name="ticket_by_requester"),
            models.Index(
                fields=["organisation", "priority", "-last_activity_at", "-id"], name="ticket_by_priority"
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.number}"

    @property
    def priorities(self) -> list[tuple[str, str]]:
        """What it may be set to, highest first, as a menu shows them."""
        return [(one.value, str(one.label)) for one in reversed(TicketPriority)]

    @property
    def priority_reason(self) -> str:
        """Why it has this priority, in one sentence; "" for tickets from before this was kept."""
        return str(PRIORITY_REASONS.get(self.priority_because, ""))


class Note(TenantRow):
    """A remark on a ticket that only the team sees."""

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="notes")
    author = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    author_name = models.CharField(max_length=200)
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return f"note on {self.ticket_id}"


class MoveKind(models.TextChoices):
    MOVED = "moved", _("Moved")
    SPLIT = "split", _("Split off")
    MERGED = "merged", _("Merged")


class TicketMove(TenantRow):
    """What a person moved from one ticket to another, and what must be known to take it back.

    `source` had it. Split off, `target` was made for it; merged, `source` has nothing left and points to `target`.
    """

    kind = models.CharField(max_length=8, choices=MoveKind.choices)
    source = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="moves_from")
    target = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="moves_to")
    message_ids = ArrayField(models.UUIDField())
    note_ids = ArrayField(models.UUIDField(), default=list, blank=True)
    source_state = models.CharField(max_length=16, choices=TicketState.choices)
    source_solved_at = models.DateTimeField(null=True, blank=True)
    target_solved_at = models.DateTimeField(
        null=True, blank=True, help_text=_("Set when the target was solved and was opened for what came")
    )
    mover = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    mover_name = models.CharField(max_length=200)
    moved_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by_name = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["moved_at", "id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.source_id} to {self.target_id}"
