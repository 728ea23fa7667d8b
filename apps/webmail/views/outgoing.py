"""What is going out: what waits and why, what failed, and the queue's figures."""

import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.principal import Principal
from apps.outbound.errors import NotPossibleNow
from apps.outbound.models import UNFINISHED, DeliveryState
from apps.outbound.selectors import deliveries_for, delivery_for, errors_for, explain, queue_figures
from apps.outbound.services import discard_delivery, resolve_uncertain, resubmit_delivery
from apps.webmail.access import for_people
from apps.webmail.reading import DeliveryTruth
from apps.webmail.shell import Place, page_context

SHOWN_AT_ONCE = 200


@require_safe
@for_people
def outbox(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Every recipient who has not got a mail of ours yet, each with the cause."""
    now = timezone.now()
    unfinished = deliveries_for(principal).filter(state__in=UNFINISHED)
    found = unfinished.select_related("message").order_by("created_at", "id")[: SHOWN_AT_ONCE + 1]
    waiting = [DeliveryTruth(delivery, explain(delivery, now)) for delivery in found]
    return _page(
        request, principal, "outbox", waiting=waiting[:SHOWN_AT_ONCE], more=len(waiting) > SHOWN_AT_ONCE
    )


@require_safe
@for_people
def errors(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Every recipient who will not get a mail of ours unless somebody decides something."""
    now = timezone.now()
    found = errors_for(principal)[: SHOWN_AT_ONCE + 1]
    failed = [DeliveryTruth(delivery, explain(delivery, now)) for delivery in found]
    return _page(
        request, principal, "errors", failed=failed[:SHOWN_AT_ONCE], more=len(failed) > SHOWN_AT_ONCE
    )


@require_safe
@for_people
def queue(request: HttpRequest, principal: Principal) -> HttpResponse:
    """What waits, where, and what holds it up."""
    figures = queue_figures(principal, timezone.now())
    states = [
        (DeliveryState(state).label, figures.by_state[state])
        for state in DeliveryState
        if figures.by_state.get(state)
    ]
    return _page(request, principal, "queue", figures=figures, states=states)


@require_POST
@for_people
def resubmit(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    delivery = delivery_for(principal, delivery_id)
    try:
        resubmit_delivery(principal, delivery, timezone.now())
    except NotPossibleNow as error:
        return JsonResponse({"detail": str(error)}, status=409)
    return JsonResponse({"sentence": _("Trying %(recipient)s again") % {"recipient": delivery.recipient}})


@require_POST
@for_people
def discard(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    """Take a failure off the list. The conversation keeps saying that this recipient did not get it."""
    delivery = delivery_for(principal, delivery_id)
    try:
        discard_delivery(principal, delivery, timezone.now())
    except NotPossibleNow as error:
        return JsonResponse({"detail": str(error)}, status=409)
    return JsonResponse({})


@require_POST
@for_people
def resolve(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    """A person decides what nobody could tell: whether a mail arrived whose server's last answer was lost."""
    delivery = delivery_for(principal, delivery_id)
    wanted = request.POST.get("state", "")
    if wanted not in DeliveryState.values:
        return JsonResponse({"errors": {"state": wanted}}, status=422)
    try:
        resolve_uncertain(principal, delivery, DeliveryState(wanted), timezone.now())
    except NotPossibleNow as error:
        return JsonResponse({"detail": str(error)}, status=409)
    return JsonResponse({})


def _page(request: HttpRequest, principal: Principal, name: str, **context: object) -> HttpResponse:
    return render(
        request,
        "webmail/page.html",
        page_context(principal, Place(page=name), content=f"webmail/{name}.html", pane="reading", **context),
    )
