"""What an organisation's people said is spam, and what was learned from it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.organisations.models import Organisation, TenantRow


class Opinion(models.TextChoices):
    NONE = "", _("none")
    SPAM = "spam", _("spam")
    HAM = "ham", _("no spam")


class SpamMark(TenantRow):
    """What was said of one mail, and what has been learned of it. The two differ until a worker has read the mail.

    A mail is known by its bytes: the same spam in three mailboxes, held or filed, is one mail and learned once.
    """

    sha256 = models.BinaryField(max_length=32, help_text=_("Of the raw message"))
    opinion = models.CharField(max_length=4, choices=Opinion.choices, blank=True)
    learned = models.CharField(max_length=4, choices=Opinion.choices, blank=True, default=Opinion.NONE)
    clues = ArrayField(
        models.BigIntegerField(),
        default=list,
        blank=True,
        help_text=_("What was learned of it, to take back"),
    )
    by_person = models.BooleanField(help_text=_("Somebody said so; otherwise it follows from an answer"))
    marked_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    marked_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "sha256"], name="spam_mark_once"),
        ]
        indexes = [
            models.Index(
                fields=["marked_at"],
                name="spam_mark_unlearned",
                condition=~models.Q(opinion=models.F("learned")),
            ),
            models.Index(fields=["organisation", "marked_at"], name="spam_mark_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.opinion or 'no opinion'} {self.pk}"


class SpamKnowledge(models.Model):
    """How many mails an organisation's filter has learned from. Its row's lock makes learning one at a time."""

    organisation = models.OneToOneField(
        Organisation, primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    spam = models.PositiveIntegerField(default=0)
    ham = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "spam knowledge"

    def __str__(self) -> str:
        return f"{self.spam} spam, {self.ham} ham"


class SpamClue(models.Model):
    """In how many learned mails a clue occurred. Its words are not kept, only 64 bits of their hash."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+", db_index=False)
    digest = models.BigIntegerField()
    spam = models.PositiveIntegerField(default=0)
    ham = models.PositiveIntegerField(default=0)
    seen_on = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "digest"], name="spam_clue_once"),
        ]

    def __str__(self) -> str:
        return f"{self.digest}: {self.spam} spam, {self.ham} ham"
