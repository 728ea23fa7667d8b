"""What is going out: what waits and why, what failed, and the queue's figures."""

import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.principal import Principal
from apps.outbound.errors import NotPossibleNow
from apps.outbound.selectors import errors_for, explain, queue_figures, waiting_for
from apps.outbound.services import discard_delivery, resubmit_delivery
from apps.webmail.access import for_people
from apps.webmail.reading import DeliveryTruth
from apps.webmail.shell import Place, page_context

SHOWN_AT_ONCE = 200


@require_safe
@for_people
def outbox(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Every recipient who has not got a mail of ours yet, each with the cause."""
    now = timezone.now()
    found = waiting_for(principal).select_related("message")[: SHOWN_AT_ONCE + 1]
    waiting = [DeliveryTruth(delivery, explain(delivery, now)) for delivery in found]
    return _page(request, principal, "outbox", waiting=waiting[:SHOWN_AT_ONCE], more=len(waiting) > SHOWN_AT_ONCE)


@require_safe
@for_people
def errors(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Every recipient who will not get a mail of ours unless somebody decides something."""
    now = timezone.now()
    found = errors_for(principal).select_related("message").order_by("-created_at")[: SHOWN_AT_ONCE + 1]
    failed = [DeliveryTruth(delivery, explain(delivery, now)) for delivery in found]
    return _page(request, principal, "errors", failed=failed[:SHOWN_AT_ONCE], more=len(failed) > SHOWN_AT_ONCE)


@require_safe
@for_people
def queue(request: HttpRequest, principal: Principal) -> HttpResponse:
    return _page(request, principal, "queue", figures=queue_figures(principal))


@require_POST
@for_people
def resubmit(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    delivery = get_object_or_404(errors_for(principal), pk=delivery_id)
    try:
        resubmit_delivery(principal, delivery, timezone.now())
    except NotPossibleNow as error:
        return JsonResponse({"detail": str(error)}, status=409)
    return JsonResponse({"sentence": _("Trying %(recipient)s again") % {"recipient": delivery.recipient}})


@require_POST
@for_people
def discard(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    """Take a failure off the list. The conversation keeps saying that this recipient did not get it."""
    delivery = get_object_or_404(errors_for(principal), pk=delivery_id)
    try:
        discard_delivery(principal, delivery, timezone.now())
    except NotPossibleNow as error:
        return JsonResponse({"detail": str(error)}, status=409)
    return JsonResponse({})


def _page(request: HttpRequest, principal: Principal, name: str, **context: object) -> HttpResponse:
    return render(
        request,
        "webmail/page.html",
        page_context(
            request, principal, Place(page=name), content=f"webmail/{name}.html", pane="reading", **context
        ),
    )
