"""Changing rules: an admin's business, in one named place."""

from datetime import datetime

from django.db import transaction

from apps.accounts.principal import Principal
from apps.automation.errors import RuleInvalid
from apps.automation.models import AcknowledgementRule
from apps.automation.selectors import rule_of
from apps.events.services import publish
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Mailbox
from apps.mailboxes.selectors import mailbox_for
from apps.mime.clean import clean_text

MAX_TEXT_CHARS = 5000


@transaction.atomic
def change_acknowledgement_rule(
    principal: Principal,
    mailbox: Mailbox,
    *,
    is_on: bool | None = None,
    text: str | None = None,
    now: datetime,
) -> AcknowledgementRule:
    """Change what is given and leave the rest. Raises RuleInvalid naming the field; NotVisible for who is no admin.

    Switched on, it acknowledges tickets from then on and none from before.
    """
    mailbox_for(principal, mailbox.pk)
    if not principal.is_admin:
        raise NotVisible(str(mailbox.pk))
    # Locked, so that two changes at the same time are two changes.
    Mailbox.objects.select_for_update().get(pk=mailbox.pk)
    rule = rule_of(mailbox)
    if text is not None:
        rule.text = _text(text)
    if is_on is not None and is_on != rule.is_on:
        if is_on and not mailbox.opens_tickets:
            raise RuleInvalid("is_on", "Only what is sent to a shared mailbox becomes a ticket.")
        rule.is_on, rule.on_since = is_on, now if is_on else None
    rule.save()
    publish(
        mailbox.organisation_id,
        "automation.rule_changed",
        actor=principal.actor,
        mailbox=str(mailbox.pk),
        is_on=rule.is_on,
    )
    return rule


def _text(text: str) -> str:
    cleaned = clean_text(text).replace("\r\n", "\n").replace("\r", "\n").strip()
    if not cleaned:
        raise RuleInvalid("text", "An acknowledgement needs some text.")
    if len(cleaned) > MAX_TEXT_CHARS:
        raise RuleInvalid("text", f"At most {MAX_TEXT_CHARS:,} characters.")
    return cleaned
