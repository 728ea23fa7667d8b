"""What a team keeps of its conversations: labels, when they come back, and the searches it wants at hand."""

import re

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.organisations.models import Organisation, TenantRow

MAX_LABEL_CHARS = 60
MAX_KEY_CHARS = 240
MAX_VIEW_CHARS = 60
MAX_QUERY_CHARS = 500


class LabelColour(models.TextChoices):
    GREY = "grey", _("Grey")
    RED = "red", _("Red")
    ORANGE = "orange", _("Orange")
    YELLOW = "yellow", _("Yellow")
    GREEN = "green", _("Green")
    TEAL = "teal", _("Teal")
    BLUE = "blue", _("Blue")
    PURPLE = "purple", _("Purple")


class Label(TenantRow):
    """A word an organisation sorts its conversations by, the same in all its mailboxes."""

    name = models.CharField(max_length=MAX_LABEL_CHARS)
    key = models.CharField(
        max_length=MAX_KEY_CHARS, help_text=_("Its name folded: what is unique, and is searched for")
    )
    colour = models.CharField(max_length=8, choices=LabelColour.choices, default=LabelColour.GREY)

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["organisation", "key"], name="label_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def as_value(self) -> str:
        """What a search has after `label:`. `//` after a colon is an address's, and no operator's."""
        return f'"{self.name}"' if re.search(r"\s|^//", self.name) else self.name


class ConversationLabel(TenantRow):
    """A label on a conversation in one mailbox."""

    # No index of their own where a constraint begins with it, or nobody asks.
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+", db_index=False)
    mailbox = models.ForeignKey(
        "mailboxes.Mailbox", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    thread = models.ForeignKey("mailboxes.Thread", on_delete=models.CASCADE, related_name="+")
    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="conversations")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "thread", "label"], name="conversation_labelled_once"),
        ]

    def __str__(self) -> str:
        return f"{self.label_id} on {self.thread_id}"


class Snooze(TenantRow):
    """When a conversation of the Snoozed folder comes back: `snoozing`. One that left that folder since stays away."""

    mailbox = models.ForeignKey(
        "mailboxes.Mailbox", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    thread = models.ForeignKey("mailboxes.Thread", on_delete=models.CASCADE, related_name="+")
    until = models.DateTimeField()
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "thread"], name="snoozed_once")]
        indexes = [models.Index(fields=["until"], name="snooze_by_moment")]

    def __str__(self) -> str:
        return f"{self.thread_id} until {self.until}"


class SavedView(TenantRow):
    """A search with a name, in the rail of its mailbox: of one person, or of all who see the mailbox."""

    mailbox = models.ForeignKey("mailboxes.Mailbox", on_delete=models.CASCADE, related_name="views")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text=_("Whose it is; nobody's: the mailbox's"),
    )
    name = models.CharField(max_length=MAX_VIEW_CHARS)
    query = models.CharField(max_length=MAX_QUERY_CHARS)
    position = models.PositiveSmallIntegerField(
        default=0, help_text=_("Among the views of its mailbox, from the top")
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["position", "name", "id"]

    def __str__(self) -> str:
        return self.name
