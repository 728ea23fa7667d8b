"""Held mail: the list, one of them, what one decides about it; and whom the organisation trusts."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.principal import Principal
from apps.mailboxes.models import Folder, Mailbox
from apps.mailboxes.selectors import visible_mailboxes
from apps.tickets.errors import TrustInvalid
from apps.tickets.holding import KEPT_FOR, decide_several, discard, release, restore
from apps.tickets.models import HeldMessage, HeldState, HoldCause
from apps.tickets.selectors import held_for, held_one
from apps.tickets.trust import (
    distrust_sender,
    proves_sender,
    trust_sender,
    trusted_sender_for,
    trusted_senders_for,
)
from apps.webmail.access import for_people, wants_fragment
from apps.webmail.paging import PlaceInList, cut
from apps.webmail.shell import show_page
from apps.webmail.views.conversations import conversation_url

SHOWN_AT_ONCE = 50
TRUSTED_SHOWN = 500
WISHES = frozenset({"release", "discard", "restore"})
_SERIOUS = frozenset({HoldCause.INFECTED, HoldCause.FORBIDDEN_FILE, HoldCause.DMARC_REJECT})
_METHODS = (("dmarc", "DMARC"), ("spf", "SPF"), ("dkim", "DKIM"), ("arc", "ARC"))


@dataclass(frozen=True, slots=True)
class ShownHeld:
    """A held mail with what the person may do about it. `places`: where it goes, as far as they may see."""

    row: HeldMessage
    places: tuple[Mailbox, ...]
    may_release: bool
    can_trust: bool

    @property
    def is_serious(self) -> bool:
        return self.row.cause in _SERIOUS

    @property
    def is_waiting(self) -> bool:
        return self.row.state == HeldState.WAITING

    @property
    def is_discarded(self) -> bool:
        return self.row.state == HeldState.DISCARDED

    @property
    def is_infected(self) -> bool:
        return self.row.cause == HoldCause.INFECTED

    @property
    def writer(self) -> str:
        return self.row.sender_name or self.row.sender_address or _("Unknown sender")

    @property
    def place_names(self) -> str:
        return ", ".join(one.name for one in self.places) or _("another mailbox")

    @property
    def erased_at(self) -> Any:
        return self.row.decided_at + KEPT_FOR if self.row.decided_at else None

    @property
    def found_out(self) -> list[tuple[str, str, str]]:
        """What is known about its sender: method, result, reason."""
        known = self.row.authentication or {}
        return [
            (label, known[name].get("result", ""), known[name].get("reason", ""))
            for name, label in _METHODS
            if name in known
        ]


# held mail


@require_safe
@for_people
def held(request: HttpRequest, principal: Principal) -> HttpResponse:
    """What waits for a person, newest first; or with `?state=discarded`, what was discarded and can be restored."""
    state = request.GET.get("state", HeldState.WAITING)
    if state not in {HeldState.WAITING, HeldState.DISCARDED}:
        raise Http404
    place = PlaceInList.read(request.GET.get("after", ""))
    rows = held_for(principal).filter(state=state).order_by("-held_at", "-id")
    found = list((place.before(rows, by="held_at") if place else rows)[: SHOWN_AT_ONCE + 1])
    shown, after = cut(found, SHOWN_AT_ONCE, by="held_at")
    return show_page(
        request,
        principal,
        "held",
        held=_shown(principal, shown),
        state=state,
        is_discarded=state == HeldState.DISCARDED,
        kept_days=KEPT_FOR // timedelta(days=1),
        after=after,
        is_first=place is None,
    )


@require_safe
@for_people
def one(request: HttpRequest, principal: Principal, held_id: uuid.UUID) -> HttpResponse:
    """One held mail: what it says, as plain text, and why it is held."""
    row = held_one(principal, held_id)
    (shown,) = _shown(principal, [row])
    return show_page(
        request,
        principal,
        "held",
        "held_one",
        shown=shown,
        conversation_url=_url_of_released(shown),
    )


@require_POST
@for_people
def release_one(request: HttpRequest, principal: Principal, held_id: uuid.UUID) -> HttpResponse:
    """Let it in; with `trust`, whatever is proven to come from this sender hereafter too."""
    row = held_one(principal, held_id)
    trust = request.POST.get("trust") == "1"
    try:
        release(principal, row, now=timezone.now(), trust=trust)
    except TrustInvalid as error:
        return JsonResponse({"detail": error.reason}, status=422)
    (shown,) = _shown(principal, [row])
    told = (
        _("Released to %(places)s. %(sender)s is trusted from now on.")
        if trust
        else _("Released to %(places)s")
    )
    return JsonResponse({"sentence": told % {"places": shown.place_names, "sender": row.sender_address}})


@require_POST
@for_people
def discard_one(request: HttpRequest, principal: Principal, held_id: uuid.UUID) -> HttpResponse:
    row = held_one(principal, held_id)
    discard(principal, row, now=timezone.now())
    undo = reverse("webmail:restore-held", kwargs={"held_id": row.pk})
    return JsonResponse({"sentence": _("Discarded"), "undo_url": undo})


@require_POST
@for_people
def restore_one(request: HttpRequest, principal: Principal, held_id: uuid.UUID) -> HttpResponse:
    row = held_one(principal, held_id)
    restore(principal, row, now=timezone.now())
    return JsonResponse({"sentence": _("Back among what is held")})


@require_POST
@for_people
def several(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Release, discard or restore all that were ticked. Undoing says which in its address."""
    wish = request.POST.get("wish") or request.GET.get("wish", "")
    if wish not in WISHES:
        return JsonResponse({"detail": _("That did not work, and was not done.")}, status=422)
    asked = _ids([*request.POST.getlist("held"), *request.GET.getlist("held")])
    done = decide_several(principal, asked, wish, now=timezone.now())
    words = {
        "release": ngettext("%(count)s mail released", "%(count)s mails released", len(done)),
        "discard": ngettext("%(count)s mail discarded", "%(count)s mails discarded", len(done)),
        "restore": ngettext("%(count)s mail is back", "%(count)s mails are back", len(done)),
    }
    answer = {"sentence": words[wish] % {"count": len(done)}}
    left = len(asked) - len(done)
    if left:
        stayed = ngettext("%(count)s stayed as it was.", "%(count)s stayed as they were.", left)
        answer["sentence"] += "; " + stayed % {"count": left}
    if wish == "discard" and done:
        back = urlencode([("wish", "restore"), *(("held", str(row.pk)) for row in done)])
        answer["undo_url"] = f"{reverse('webmail:several-held')}?{back}"
    return JsonResponse(answer)


def _ids(texts: list[str]) -> list[uuid.UUID]:
    """At most a page of them. What is no id is nobody's mail."""
    found = []
    for text in texts[:SHOWN_AT_ONCE]:
        try:
            found.append(uuid.UUID(text))
        except ValueError as error:
            raise Http404 from error
    return found


def _shown(principal: Principal, rows: Any) -> list[ShownHeld]:
    visible = {mailbox.pk for mailbox in visible_mailboxes(principal)}
    return [
        ShownHeld(
            row,
            tuple(one for one in row.mailboxes.all() if one.pk in visible),
            may_release=principal.is_admin or not row.only_admins_release,
            can_trust=bool(row.sender_address) and proves_sender(row.authentication),
        )
        for row in rows
    ]


def _url_of_released(shown: ShownHeld) -> str:
    """Where the message lies that it became, for who may see it there."""
    if shown.row.message is None or not shown.places:
        return ""
    return conversation_url(shown.places[0], Folder.INBOX, shown.row.message.thread_id)


# trusted senders


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def trusted(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Whom the organisation trusts; a POST adds one."""
    if request.method != "POST":
        return _trusted_page(request, principal)
    entered = request.POST.get("sender", "")
    try:
        trust_sender(principal, entered, now=timezone.now())
    except TrustInvalid as error:
        return _trusted_page(request, principal, wrong=error.reason, entered=entered)
    return _trusted_changed(request, principal)


@require_POST
@for_people
def distrust(request: HttpRequest, principal: Principal, trusted_id: uuid.UUID) -> HttpResponse:
    distrust_sender(principal, trusted_sender_for(principal, trusted_id))
    return _trusted_changed(request, principal)


def _trusted_changed(request: HttpRequest, principal: Principal) -> HttpResponse:
    if wants_fragment(request):
        return _trusted_page(request, principal)
    return HttpResponseRedirect(reverse("webmail:trusted"))


def _trusted_page(request: HttpRequest, principal: Principal, **more: Any) -> HttpResponse:
    rows = list(trusted_senders_for(principal)[:TRUSTED_SHOWN])
    if wants_fragment(request):
        return render(request, "webmail/trusted_list.html", {"rows": rows, **more})
    return show_page(request, principal, "trusted", rows=rows, **more)
