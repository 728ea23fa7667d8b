"""What people did to many conversations at once, and whom they called to a ticket."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.mailboxes.models import Mailbox
from apps.organisations.models import Organisation, TenantRow


class Deed(models.TextChoices):
    """What can be done to many conversations in one go."""

    ARCHIVE = "archive", _("Archived")
    INBOX = "inbox", _("Moved to the inbox")
    TRASH = "trash", _("Moved to Trash")
    SPAM = "spam", _("Moved to Spam")
    NOT_SPAM = "not_spam", _("Moved to the inbox, and remembered as no spam")
    SNOOZE = "snooze", _("Snoozed")
    READ = "read", _("Marked read")
    UNREAD = "unread", _("Marked unread")
    STAR = "star", _("Starred")
    UNSTAR = "unstar", _("Star taken away")
    LABEL = "label", _("Labelled")
    UNLABEL = "unlabel", _("Label taken away")
    SOLVE = "solve", _("Solved")
    REOPEN = "reopen", _("Opened again")
    ASSIGN = "assign", _("Assigned")


class BulkChange(TenantRow):
    """What one press did to many conversations of a mailbox, and what each of them was before: `bulk`."""

    # Nobody looks for them but by their id, and the housekeeping by their time.
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+", db_index=False)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    deed = models.CharField(max_length=16, choices=Deed.choices)
    before = models.JSONField(help_text=_("By the kind of row, ids with what they had: bulk"))
    made_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["made_at"], name="bulk_change_by_time")]

    def __str__(self) -> str:
        return f"{self.deed} {self.pk}"


class Mention(TenantRow):
    """A note that calls somebody by `@name`."""

    ticket = models.ForeignKey("tickets.Ticket", on_delete=models.CASCADE, related_name="mentions")
    note = models.ForeignKey("tickets.Note", on_delete=models.CASCADE, related_name="mentions")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["note", "user"], name="mentioned_once")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.note_id}"
