"""Reading rules and what they did. Both are visible to whoever may see the mailbox or the ticket."""

import uuid
from collections.abc import Collection

from apps.accounts.principal import Principal
from apps.automation.models import Acknowledgement, AcknowledgementRule
from apps.mailboxes.models import Mailbox
from apps.mailboxes.selectors import mailbox_for
from apps.tickets.models import Ticket


def acknowledgement_rule_for(principal: Principal, mailbox_id: uuid.UUID | str) -> AcknowledgementRule:
    """The mailbox's rule, unsaved and off where it has none yet. Raises NotVisible."""
    mailbox = mailbox_for(principal, mailbox_id)
    return rule_of(mailbox)


def rule_of(mailbox: Mailbox) -> AcknowledgementRule:
    """The same for a mailbox the caller may see."""
    return rules_of([mailbox])[mailbox.pk]


def rules_of(mailboxes: Collection[Mailbox]) -> dict[uuid.UUID, AcknowledgementRule]:
    """`rule_of` for many, by mailbox."""
    kept = {one.mailbox_id: one for one in AcknowledgementRule.objects.filter(mailbox__in=mailboxes)}
    return {
        one.pk: kept.get(one.pk) or AcknowledgementRule(organisation_id=one.organisation_id, mailbox=one)
        for one in mailboxes
    }


def acknowledgement_of(ticket: Ticket) -> Acknowledgement | None:
    """What became of a ticket's acknowledgement; None where no rule was on. The caller may see the ticket."""
    return Acknowledgement.objects.filter(ticket=ticket).first()
