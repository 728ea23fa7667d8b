"""The list of addresses that are not written to: everybody sees it, admins change it.

A change answers with the list anew, which takes the place of the old one; without scripts it leads back to the page.
"""

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.outbound.bounces.suppressions import (
    add_suppression,
    may_change_suppressions,
    remove_suppression,
    suppression_for,
    suppressions_for,
)
from apps.outbound.errors import SuppressionInvalid
from apps.outbound.models import SuppressionReason
from apps.webmail.access import for_people, wants_fragment
from apps.webmail.shell import show_page

SHOWN_AT_ONCE = 200


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def suppressions(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Every address that is not written to, with the reason and until when; a POST adds one."""
    return _add(request, principal) if request.method == "POST" else _page(request, principal)


def _add(request: HttpRequest, principal: Principal) -> HttpResponse:
    try:
        add_suppression(
            principal,
            request.POST.get("address", ""),
            evidence=request.POST.get("evidence", ""),
            now=timezone.now(),
        )
    except SuppressionInvalid as error:
        return _page(request, principal, wrong=error.reason, entered=request.POST.get("address", ""))
    return _changed(request, principal)


@require_POST
@for_people
def remove(request: HttpRequest, principal: Principal, suppression_id: uuid.UUID) -> HttpResponse:
    row = suppression_for(principal, suppression_id)
    remove_suppression(principal, row, now=timezone.now())
    return _changed(request, principal, removed=row.address)


def _changed(request: HttpRequest, principal: Principal, *, removed: str = "") -> HttpResponse:
    if wants_fragment(request):
        return _page(request, principal, removed=removed)
    return HttpResponseRedirect(reverse("webmail:suppressions"))


def _page(request: HttpRequest, principal: Principal, **more: object) -> HttpResponse:
    query, reason = request.GET.get("q", "").strip()[:320], request.GET.get("reason", "")
    if reason not in SuppressionReason.values:
        reason = ""
    now = timezone.now()
    found = suppressions_for(principal, query=query, reason=reason).select_related("delivery__message")
    rows = list(found[: SHOWN_AT_ONCE + 1])
    context: dict[str, Any] = {
        "rows": [(row, row.holds(now)) for row in rows[:SHOWN_AT_ONCE]],
        "more": len(rows) > SHOWN_AT_ONCE,
        "query": query,
        "reason": reason,
        "reasons": SuppressionReason.choices,
        "may_change": may_change_suppressions(principal),
        **more,
    }
    if wants_fragment(request):
        return render(request, "webmail/suppressions_list.html", context)
    return show_page(request, principal, "suppressions", **context)
