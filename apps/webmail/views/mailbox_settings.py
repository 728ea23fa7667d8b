"""Mailbox settings: what addresses each mailbox has, what it answers by itself, what is held, and who gets mail for
nobody. Everybody sees what holds for their mailboxes; admins change it.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.errors import AdminsOnly, FieldInvalid
from apps.accounts.principal import Principal
from apps.automation.models import AcknowledgementRule
from apps.automation.selectors import rules_of
from apps.automation.services import change_acknowledgement_rule
from apps.mailboxes.aliases import add_alias, alias_for, remove_alias
from apps.mailboxes.domains import domains_for
from apps.mailboxes.models import Mailbox
from apps.mailboxes.selectors import mailbox_for, visible_mailboxes
from apps.mailboxes.services import change_mailbox
from apps.tickets.receiving_policy import WISHES, change_receiving_policy, receiving_policy_of
from apps.webmail.access import for_people
from apps.webmail.shell import show_page, team_first

_POLICY = "what-is-held"
# Each wish with its name and what it is about.
_WORDS: Mapping[str, tuple[str | Promise, str | Promise]] = {
    "forbidden_files": (
        lazy("Dangerous files"),
        lazy("Programs, scripts, and macros that run by themselves"),
    ),
    "locked_archives": (lazy("Locked archives"), lazy("With a password, so that no scanner can look inside")),
    "spam": (lazy("Spam"), lazy("By what your team marks, and by rspamd where it is switched on")),
    "dmarc": (lazy("Forged senders"), lazy("Mail that fails the proof its domain publishes (DMARC)")),
}


@dataclass(frozen=True, slots=True)
class Refused:
    """What cannot be saved as it was asked: where on the page, why, and what was typed."""

    place: str
    reason: str
    typed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ShownMailbox:
    """A mailbox with its rule, and with what was typed for it where that was refused."""

    mailbox: Mailbox
    rule: AcknowledgementRule
    refused: Refused | None

    @property
    def is_on(self) -> bool:
        return "is_on" in self.refused.typed if self.rule_wrong and self.refused else self.rule.is_on

    @property
    def text(self) -> str:
        return self.refused.typed.get("text", "") if self.rule_wrong and self.refused else self.rule.text

    @property
    def alias(self) -> str:
        return self.refused.typed.get("address", "") if self.alias_wrong and self.refused else ""

    @property
    def alias_wrong(self) -> str:
        return self._wrong(_of_aliases(self.mailbox))

    @property
    def rule_wrong(self) -> str:
        return self._wrong(_of_rule(self.mailbox))

    @property
    def wrongs(self) -> list[str]:
        """Why nothing was changed, for who may not."""
        return [one for one in (self.alias_wrong, self.rule_wrong) if one]

    def _wrong(self, place: str) -> str:
        return self.refused.reason if self.refused is not None and self.refused.place == place else ""


@dataclass(frozen=True, slots=True)
class ShownWish:
    """One of the questions of what is to be held, with its answers."""

    name: str
    title: str | Promise
    hint: str | Promise
    choices: list[tuple[str, str]]
    chosen: str

    @property
    def answer(self) -> str:
        return dict(self.choices)[self.chosen]


@require_safe
@for_people
def mailbox_settings(request: HttpRequest, principal: Principal) -> HttpResponse:
    return _page(request, principal)


@require_POST
@for_people
def add(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID) -> HttpResponse:
    """Give a mailbox an alias."""
    mailbox = mailbox_for(principal, mailbox_id)
    return _saved_or_shown(
        request,
        principal,
        _of_aliases(mailbox),
        lambda: add_alias(principal, mailbox, request.POST.get("address", "")),
        said=_("Added. Mail to it comes in from now on."),
    )


@require_POST
@for_people
def remove(
    request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, alias_id: uuid.UUID
) -> HttpResponse:
    alias = alias_for(principal, mailbox_id, alias_id)
    return _saved_or_shown(
        request,
        principal,
        _of_aliases(alias.mailbox),
        lambda: remove_alias(principal, alias),
        said=_("%(address)s is removed.") % {"address": alias.address},
    )


@require_POST
@for_people
def change_answers(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID) -> HttpResponse:
    """Save how a mailbox's answers ask to be answered."""
    mailbox = mailbox_for(principal, mailbox_id)
    return _saved_or_shown(
        request,
        principal,
        _of_rule(mailbox),
        lambda: change_mailbox(principal, mailbox, reply_tokens="reply_tokens" in request.POST),
        said=_("Saved. It holds for answers from now on."),
    )


@require_POST
@for_people
def change_acknowledgement(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID) -> HttpResponse:
    """Save what one mailbox answers by itself."""
    mailbox = mailbox_for(principal, mailbox_id)

    def save() -> None:
        if not principal.is_admin:
            # Everybody of the mailbox sees the rule, so there is nothing to hide; 404 would only puzzle.
            raise AdminsOnly(_("Only an admin can change this."))
        is_on, text = "is_on" in request.POST, request.POST.get("text", "")
        change_acknowledgement_rule(principal, mailbox, is_on=is_on, text=text, now=timezone.now())

    return _saved_or_shown(
        request, principal, _of_rule(mailbox), save, said=_("Saved. It holds for tickets from now on.")
    )


@require_POST
@for_people
def change_policy(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Save what is to be held."""
    wishes = {name: request.POST[name] for name in WISHES if name in request.POST}
    return _saved_or_shown(
        request,
        principal,
        _POLICY,
        lambda: change_receiving_policy(principal, wishes),
        said=_("Saved. It holds for mail that comes in from now on."),
    )


def _of_aliases(mailbox: Mailbox) -> str:
    return f"a-{mailbox.pk}"


def _of_rule(mailbox: Mailbox) -> str:
    return f"m-{mailbox.pk}"


def _saved_or_shown(
    request: HttpRequest, principal: Principal, place: str, save: Callable[[], object], *, said: str
) -> HttpResponse:
    """Back to the place where it was saved; what cannot be saved is shown again with the reason."""
    try:
        save()
    except FieldInvalid as error:
        reason, status = error.reason, HTTPStatus.UNPROCESSABLE_ENTITY
    except AdminsOnly as error:
        reason, status = str(error), HTTPStatus.FORBIDDEN
    else:
        messages.success(request, said)
        return HttpResponseRedirect(f"{reverse('webmail:mailbox-settings')}#{place}")
    return _page(request, principal, Refused(place, reason, request.POST.dict()), status=status)


def _page(
    request: HttpRequest, principal: Principal, refused: Refused | None = None, *, status: int = HTTPStatus.OK
) -> HttpResponse:
    mailboxes = team_first(visible_mailboxes(principal).prefetch_related("addresses"))
    rules = rules_of(mailboxes)
    context: dict[str, Any] = {
        "shown": [ShownMailbox(one, rules[one.pk], refused) for one in mailboxes],
        "wishes": _wishes(principal),
        "policy_wrong": refused.reason if refused is not None and refused.place == _POLICY else "",
        "may_change": principal.is_admin,
    }
    if principal.is_admin:
        proven = domains_for(principal).filter(verified_at__isnull=False).select_related("catch_all")
        context |= {"domains": list(proven), "mailboxes": mailboxes}
    return show_page(request, principal, "mailbox_settings", status=status, **context)


def _wishes(principal: Principal) -> list[ShownWish]:
    policy = receiving_policy_of(principal.organisation_id)
    return [
        ShownWish(
            name,
            *_WORDS[name],
            [(value, str(label)) for value, label in choices.choices],
            getattr(policy, name),
        )
        for name, choices in WISHES.items()
    ]
