"""Which rule chose a message's conversation: a code with what it goes by, and the same in one sentence.

The code and its data are stored, and the sentence is made when somebody reads it, in their language.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy


class FiledRule(models.TextChoices):
    """Stored and told to clients, so the codes never change."""

    STARTS = "starts", gettext_lazy("It answers no message we know, so it starts a conversation.")
    ANSWERS_OURS = "answers_ours", gettext_lazy("It answers <%(message_id)s>, which we sent.")
    ANSWERS_TOKEN = "answers_token", gettext_lazy("It came to the reply address of a mail we sent.")
    ANSWERS_KNOWN = (
        "answers_known",
        gettext_lazy("It answers <%(message_id)s>, and its sender takes part in that conversation."),
    )
    ON_THE_LIST = "on_the_list", gettext_lazy("It answers <%(message_id)s> on the same mailing list.")
    STRANGER = (
        "stranger",
        gettext_lazy(
            "It quotes <%(message_id)s>, but its sender takes no part in that conversation, so it starts its own."
        ),
    )
    ANSWERS_TICKET = "answers_ticket", gettext_lazy("It is the answer to ticket #%(ticket)s.")
    ANSWERS_MESSAGE = "answers_message", gettext_lazy("It answers a message of this conversation.")
    REPORTS_ON = "reports_on", gettext_lazy("It reports on “%(subject)s”.")
    REPORTS_ON_UNNAMED = "reports_on_unnamed", gettext_lazy("It reports on a mail without a subject.")
    AUTOMATIC_BOUNCED = (
        "automatic_bounced",
        gettext_lazy("It is a bounce of an automatic mail, which nobody waits for."),
    )
    MOVED = "moved", gettext_lazy("%(by)s moved it here from #%(from)s.")


@dataclass(frozen=True, slots=True)
class Filed:
    """A rule and its data (numbers, ids and Message-IDs). `new_participant`: the sender had no part before."""

    rule: FiledRule
    data: Mapping[str, Any] = field(default_factory=dict)
    new_participant: bool = False

    @classmethod
    def of(cls, stored: Mapping[str, Any], *, new_participant: bool = False) -> "Filed | None":
        """As `as_json` stored it; None for a message from before rules were stored, or by a newer version's rule."""
        rule = stored.get("rule")
        if rule not in FiledRule.values:
            return None
        return cls(FiledRule(rule), stored, new_participant)

    def with_data(self, **more: Any) -> "Filed":
        return replace(self, data={**self.data, **more})

    def as_json(self) -> dict[str, Any]:
        return {**self.data, "rule": self.rule.value}

    @property
    def sentence(self) -> str:
        """Why it lies where it lies, for a person."""
        said = str(self.rule.label) % _Told(self.data)
        if self.new_participant:
            said = _("%(why)s Its sender is new to this conversation.") % {"why": said}
        return said


class _Told(dict[str, Any]):
    """What a sentence names and nobody kept reads as "?"; a missing word must not take the page away."""

    def __missing__(self, key: str) -> str:
        return "?"
