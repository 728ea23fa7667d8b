"""Domains: what to publish in DNS, whether it is there, and the keys mail is signed with. For admins."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.principal import Principal
from apps.mailboxes.domains import domain_for, domains_for, remove_domain, set_catch_all
from apps.mailboxes.errors import DomainError, DomainInvalid, NotVisible
from apps.mailboxes.models import Domain
from apps.mailboxes.selectors import visible_mailboxes
from apps.outbound.domains.checks import verdict_of
from apps.outbound.domains.findings import Finding, Record, Verdict
from apps.outbound.domains.tending import Setup, check_domain, claim_domain, setup_of
from apps.outbound.errors import NotPossibleNow
from apps.outbound.models import KeyState, SigningKey
from apps.outbound.signing.keyring import opens
from apps.outbound.signing.keys import TXT_STRING_OCTETS, txt_strings
from apps.outbound.signing.rotation import activate, create_keys, discard, key_for, signing_with, stop_signing
from apps.webmail.access import for_people, wants_fragment
from apps.webmail.shell import show_page

_TITLES = {
    "verify": gettext_lazy("Proof that it is yours"),
    "dkim": gettext_lazy("DKIM: the signature’s key"),
    "spf": gettext_lazy("SPF: who may send"),
    "dmarc": gettext_lazy("DMARC: what to do with forgeries"),
    "mx": gettext_lazy("MX: where mail comes in"),
    "return_path_spf": gettext_lazy("SPF of the bounces’ domain"),
    "return_path_mx": gettext_lazy("MX of the bounces’ domain"),
    "mta_sts": gettext_lazy("MTA-STS: encryption of what comes in"),
}
_CHIPS = {
    Verdict.OK: ("good", "check", gettext_lazy("Right")),
    Verdict.MISSING: ("wait", "circle-dot", gettext_lazy("Not there")),
    Verdict.WRONG: ("bad", "x", gettext_lazy("Wrong")),
    Verdict.UNCHECKED: ("", "clock", gettext_lazy("Not checked")),
}


@dataclass(frozen=True, slots=True)
class Chip:
    """A word with its colour and its shape."""

    tone: str
    icon: str
    word: str


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record as the page shows it. `quoted` is its value in strings, where one string is too short for it."""

    record: Record
    title: str
    finding: Finding | None
    chip: Chip | None
    quoted: str


@dataclass(frozen=True, slots=True)
class DomainRow:
    """A domain in the list, with the algorithms it signs with."""

    domain: Domain
    signs_with: str


@require_safe
@for_people
def domains(request: HttpRequest, principal: Principal) -> HttpResponse:
    return _list(request, principal)


@require_POST
@for_people
def add(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Claim a domain; its keys are made along with it."""
    name = request.POST.get("name", "")[:300]
    try:
        domain = claim_domain(principal, name, timezone.now())
    except DomainError as error:
        status = HTTPStatus.UNPROCESSABLE_ENTITY if isinstance(error, DomainInvalid) else HTTPStatus.CONFLICT
        return _list(request, principal, status=status, name=name, problem=str(error))
    return redirect("webmail:domain", domain.pk)


@require_safe
@for_people
def domain(request: HttpRequest, principal: Principal, domain_id: uuid.UUID) -> HttpResponse:
    """What to publish. The page then asks for a check by itself."""
    return _page(request, principal, setup_of(domain_for(principal, domain_id)))


@require_POST
@for_people
def check(request: HttpRequest, principal: Principal, domain_id: uuid.UUID) -> HttpResponse:
    """Look in DNS, for at most five seconds."""
    setup = check_domain(domain_for(principal, domain_id), timezone.now())
    if wants_fragment(request):
        return render(request, "webmail/domain_setup.html", _setup_context(setup))
    return _page(request, principal, setup)


@require_POST
@for_people
def catch_all(request: HttpRequest, principal: Principal, domain_id: uuid.UUID) -> HttpResponse:
    """Where mail goes that is for nobody; an empty choice refuses it. `back` says that it was asked on the page of all
    mailboxes. Raises NotVisible.
    """
    found = domain_for(principal, domain_id)
    try:
        chosen = uuid.UUID(request.POST["mailbox"]) if request.POST.get("mailbox") else None
    except ValueError as error:
        raise NotVisible(str(domain_id)) from error
    set_catch_all(principal, found, chosen)
    if request.POST.get("back") == "settings":
        messages.success(request, _("Saved. It holds for mail that comes in from now on."))
        return redirect("webmail:mailbox-settings")
    return redirect("webmail:domain", domain_id)


@require_POST
@for_people
def remove(request: HttpRequest, principal: Principal, domain_id: uuid.UUID) -> HttpResponse:
    found = domain_for(principal, domain_id)
    try:
        remove_domain(principal, found)
    except DomainError as error:
        return _page(request, principal, setup_of(found), status=HTTPStatus.CONFLICT, problem=str(error))
    return redirect("webmail:domains")


@require_POST
@for_people
def rotate(request: HttpRequest, principal: Principal, domain_id: uuid.UUID) -> HttpResponse:
    """Make new keys beside those in use; they take over when their records are seen."""
    create_keys(domain_for(principal, domain_id), timezone.now(), actor=principal.actor)
    return redirect("webmail:domain", domain_id)


@require_POST
@for_people
def change_key(request: HttpRequest, principal: Principal, key_id: uuid.UUID) -> HttpResponse:
    """`change` is activate, stop or discard."""
    key = key_for(principal, key_id)
    change = _KEY_CHANGES.get(request.POST.get("change", ""))
    problem, status = _("There is no such change of a key."), HTTPStatus.UNPROCESSABLE_ENTITY
    if change is not None:
        try:
            change(key, principal)
        except NotPossibleNow as error:
            problem, status = str(error), HTTPStatus.CONFLICT
        else:
            return redirect("webmail:domain", key.domain_id)
    return _page(request, principal, setup_of(key.domain), status=status, problem=problem)


_KEY_CHANGES: dict[str, Callable[[SigningKey, Principal], None]] = {
    "activate": lambda key, who: activate(key, timezone.now(), because="person", actor=who.actor),
    "stop": lambda key, who: stop_signing(key, timezone.now(), actor=who.actor),
    "discard": lambda key, who: discard(key, timezone.now(), actor=who.actor),
}


def _list(
    request: HttpRequest,
    principal: Principal,
    *,
    status: int = HTTPStatus.OK,
    name: str = "",
    problem: str = "",
) -> HttpResponse:
    found = list(domains_for(principal))
    keys = signing_with(found)
    rows = [DomainRow(one, ", ".join(key.get_algorithm_display() for key in keys[one.pk])) for one in found]
    return show_page(request, principal, "domains", status=status, domains=rows, name=name, problem=problem)


def _page(
    request: HttpRequest,
    principal: Principal,
    setup: Setup,
    *,
    status: int = HTTPStatus.OK,
    problem: str = "",
) -> HttpResponse:
    context = _setup_context(setup) | {"mailboxes": list(visible_mailboxes(principal))}
    return show_page(request, principal, "domains", "domain", status=status, problem=problem, **context)


def _setup_context(setup: Setup) -> dict[str, object]:
    found = {finding.record.key: finding for finding in setup.findings or []}
    return {
        "domain": setup.domain,
        "keys": setup.keys,
        "unopened": {key.pk for key in setup.keys if key.state == KeyState.ACTIVE and not opens(key)},
        "records": [_row(record, found.get(record.key)) for record in setup.records],
        "mta_sts_policy": setup.mta_sts_policy,
        "is_checked": setup.findings is not None,
        "verdict": verdict_of(setup.findings) if setup.findings is not None else "",
        "can_rotate": not any(key.state == KeyState.PENDING for key in setup.keys),
    }


def _row(record: Record, finding: Finding | None) -> RecordRow:
    is_long = record.type == "TXT" and len(record.value) > TXT_STRING_OCTETS
    quoted = " ".join(f'"{one}"' for one in txt_strings(record.value)) if is_long else ""
    tone, icon, word = _CHIPS[finding.verdict] if finding is not None else ("", "", "")
    chip = Chip(tone, icon, str(word)) if finding is not None else None
    return RecordRow(record, _title(record), finding, chip, quoted)


def _title(record: Record) -> str:
    title = str(_TITLES.get(record.code, record.code))
    if record.code != "dkim":
        return title
    return f"{title} ({'Ed25519' if 'k=ed25519' in record.value else 'RSA'})"
