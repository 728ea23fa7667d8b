"""Reading rules and what they did. Both are visible to whoever may see the mailbox or the ticket."""

import uuid

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
    existing = AcknowledgementRule.objects.filter(mailbox=mailbox).first()
    return existing or AcknowledgementRule(organisation_id=mailbox.organisation_id, mailbox=mailbox)


def acknowledgement_of(ticket: Ticket) -> Acknowledgement | None:
    """What became of a ticket's acknowledgement; None where no rule was on. The caller may see the ticket."""
    return Acknowledgement.objects.filter(ticket=ticket).first()
