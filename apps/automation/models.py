"""Rules that act by themselves, and what each of them did or did not do.

The first rule is the acknowledgement: "We have your mail; it is ticket #12". An `Acknowledgement` is the decision about
one ticket:

    due ──▶ sent       `answer` is the message
        └─▶ withheld   `because` says why

Both transitions are in `acknowledge.py`.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.automation.answerable import Because
from apps.events.models import Event
from apps.mailboxes.models import Mailbox, Message
from apps.organisations.models import TenantRow
from apps.tickets.models import Ticket

DEFAULT_TEXT = """Hello,

we have your mail, and somebody will answer it. It is ticket #{number}.

You need not do anything. If you want to add something, just answer this mail."""


class AcknowledgementRule(TenantRow):
    """Whether a shared mailbox acknowledges new tickets, and in what words. Without a row it does not."""

    mailbox = models.OneToOneField(Mailbox, on_delete=models.CASCADE, related_name="+")
    is_on = models.BooleanField(default=False)
    on_since = models.DateTimeField(
        null=True, blank=True, help_text=_("Tickets from before it get no acknowledgement")
    )
    text = models.TextField(default=DEFAULT_TEXT, help_text=_("{number} stands for the ticket's number"))

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="acknowledgement_on_since_iff_on",
                condition=models.Q(is_on=True, on_since__isnull=False)
                | models.Q(is_on=False, on_since__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"acknowledgements of {self.mailbox_id}"

    def covers(self, ticket: Ticket) -> bool:
        """Whether the ticket was opened while this was on."""
        return self.on_since is not None and ticket.opened_at >= self.on_since

    def text_for(self, ticket: Ticket) -> str:
        return self.text.replace("{number}", str(ticket.number))


class AcknowledgementState(models.TextChoices):
    DUE = "due", _("About to be sent")
    SENT = "sent", _("Acknowledged")
    WITHHELD = "withheld", _("Not acknowledged")


class Acknowledgement(TenantRow):
    """What became of the acknowledgement of one ticket."""

    ticket = models.OneToOneField(Ticket, on_delete=models.CASCADE, related_name="+")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="+", help_text=_("ticket.opened"))
    opened_by = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(
        max_length=16, choices=AcknowledgementState.choices, default=AcknowledgementState.DUE
    )
    because = models.CharField(max_length=32, choices=Because.choices, blank=True)
    recipient = models.TextField(blank=True, help_text=_("Whom it went to; what the limit per sender counts"))
    answer = models.ForeignKey(Message, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    due_at = models.DateTimeField(
        null=True, blank=True, help_text=_("Not taken up before; while one is at it, when its lease lapses")
    )
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="acknowledgement_due_iff_unfinished",
                condition=models.Q(state="due", due_at__isnull=False, finished_at__isnull=True)
                | (~models.Q(state="due") & models.Q(due_at__isnull=True, finished_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="acknowledgement_because_iff_withheld",
                condition=(models.Q(state="withheld") & ~models.Q(because=""))
                | (~models.Q(state="withheld") & models.Q(because="")),
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="acknowledgement_due", condition=models.Q(state="due")),
            models.Index(
                fields=["organisation", "recipient", "finished_at"],
                name="acknowledgement_by_recipient",
                condition=models.Q(state="sent"),
            ),
            # What a mailbox has sent within a day is counted for each mail, and those of a year are not to be read.
            models.Index(
                fields=["organisation", "finished_at"],
                name="acknowledgement_within_a_day",
                condition=models.Q(state="sent"),
            ),
        ]

    def __str__(self) -> str:
        return f"acknowledgement of {self.ticket_id}"

    @property
    def reason(self) -> str:
        """Why none was sent, in one sentence; "" unless it was withheld."""
        return str(Because(self.because).label) if self.because else ""
