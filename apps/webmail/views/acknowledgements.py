"""Acknowledgements of new tickets: seen by whoever sees the mailbox, changed by admins."""

import uuid
from dataclasses import dataclass
from http import HTTPStatus

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.principal import Principal
from apps.automation.errors import RuleInvalid
from apps.automation.models import AcknowledgementRule
from apps.automation.selectors import rule_of
from apps.automation.services import change_acknowledgement_rule
from apps.mailboxes.models import Mailbox
from apps.mailboxes.selectors import mailbox_for, visible_mailboxes
from apps.webmail.access import for_people
from apps.webmail.shell import show_page


@dataclass(frozen=True, slots=True)
class ShownRule:
    """A mailbox with its rule; after a refusal with what was written and what is wrong with it."""

    mailbox: Mailbox
    rule: AcknowledgementRule
    is_on: bool
    text: str
    problem: str = ""


@require_safe
@for_people
def acknowledgements(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Every shared mailbox of the person's, each with what it answers by itself."""
    return _page(request, principal, refused=None)


@require_POST
@for_people
def change(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID) -> HttpResponse:
    """Save one mailbox's rule; what cannot be saved is shown again with the reason."""
    mailbox = mailbox_for(principal, mailbox_id)
    is_on, text = "is_on" in request.POST, request.POST.get("text", "")
    rule = rule_of(mailbox)
    if not principal.is_admin:
        # Everybody of the mailbox sees the rule, so there is nothing to hide; 404 would only puzzle.
        refused = ShownRule(mailbox, rule, rule.is_on, rule.text, _("Only an admin can change this."))
        return _page(request, principal, refused=refused, status=HTTPStatus.FORBIDDEN)
    try:
        change_acknowledgement_rule(principal, mailbox, is_on=is_on, text=text, now=timezone.now())
    except RuleInvalid as error:
        refused = ShownRule(mailbox, rule, is_on, text, error.reason)
        return _page(request, principal, refused=refused, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    messages.success(request, _("Saved. It holds for tickets from now on."))
    return HttpResponseRedirect(f"{reverse('webmail:acknowledgements')}#m-{mailbox.pk}")


def _page(
    request: HttpRequest, principal: Principal, *, refused: ShownRule | None, status: int = HTTPStatus.OK
) -> HttpResponse:
    shown = []
    for mailbox in visible_mailboxes(principal):
        if refused is not None and mailbox == refused.mailbox:
            shown.append(refused)
        elif mailbox.opens_tickets:
            rule = rule_of(mailbox)
            shown.append(ShownRule(mailbox, rule, rule.is_on, rule.text))
    return show_page(
        request, principal, "acknowledgements", status=status, shown=shown, may_change=principal.is_admin
    )
