"""The error queue: recipients that failed and mails that were refused, and what one does about each."""

import uuid
from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.principal import Principal
from apps.outbound.bounces.suppressions import may_change_suppressions
from apps.outbound.cause_titles import title_of
from apps.outbound.errors import NotPossibleNow
from apps.outbound.models import Delivery, RefusedSubmission
from apps.outbound.remedies import remedies_for
from apps.outbound.selectors import (
    delivery_for,
    errors_for,
    explain,
    last_attempts_of,
    refused_by_id,
    refused_for,
)
from apps.outbound.services import (
    discard_delivery,
    readdress_delivery,
    restore_delivery,
    resubmit_delivery,
    resubmit_unsuppressed,
    rewrite_delivery,
)
from apps.outbound.submission.refused import discard_refused, restore_refused
from apps.webmail.access import for_people
from apps.webmail.mending import field_label
from apps.webmail.paging import PlaceInList, cut
from apps.webmail.shell import show_page
from apps.webmail.story import words_of
from apps.webmail.truths import DeliveryTruth

SHOWN_AT_ONCE = 50
FAULTS_SHOWN = 5


@require_safe
@for_people
def errors(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Everything that will not move unless somebody decides something, newest first."""
    place = PlaceInList.read(request.GET.get("after", ""))
    found: list[Delivery | RefusedSubmission] = []
    for rows in (errors_for(principal), refused_for(principal)):
        found += list((place.before(rows) if place else rows)[: SHOWN_AT_ONCE + 1])
    found.sort(key=lambda row: (row.created_at, row.pk), reverse=True)
    shown, after = cut(found[: SHOWN_AT_ONCE + 1], SHOWN_AT_ONCE)
    return show_page(
        request,
        principal,
        "errors",
        stuck=_shown(principal, [row for row in shown if isinstance(row, Delivery)], list(shown)),
        may_unsuppress=may_change_suppressions(principal),
        after=after,
        is_first=place is None,
    )


def _shown(
    principal: Principal, failed: list[Delivery], rows: list[Delivery | RefusedSubmission]
) -> list[dict[str, object]]:
    """Each as its template wants it: a failed recipient with its last attempt and what helps, or a refused mail."""
    now = timezone.now()
    remedies = remedies_for(principal.organisation_id, failed, now)
    last = last_attempts_of(failed)
    shown: list[dict[str, object]] = []
    for row in rows:
        if isinstance(row, Delivery):
            truth, newest = DeliveryTruth(row, explain(row, now)), last.get(row.pk)
            words = words_of(newest, now) if newest is not None else ""
            # Where our own sentence quotes the server, once is enough.
            said = "" if words.rstrip(".") in truth.explanation.sentence else words
            shown.append(
                {
                    "truth": truth,
                    "title": title_of(row.cause),
                    "last": newest,
                    "said": said,
                    "remedy": remedies[row.pk],
                }
            )
        else:
            faults = [(field_label(one["field"]), one["detail"]) for one in row.faults]
            beyond = max(0, len(faults) - FAULTS_SHOWN)
            shown.append({"refused": row, "faults": faults[:FAULTS_SHOWN], "more_faults": beyond})
    return shown


@require_POST
@for_people
def resubmit(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    """Once more, as it is."""
    return _resubmitted(principal, delivery_id, resubmit_delivery)


@require_POST
@for_people
def unsuppress(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    """Off the list of suppressions, and once more."""
    return _resubmitted(principal, delivery_id, resubmit_unsuppressed)


def _resubmitted(
    principal: Principal,
    delivery_id: uuid.UUID,
    resubmit: Callable[[Principal, Delivery, datetime], None],
) -> HttpResponse:
    delivery = delivery_for(principal, delivery_id)
    resubmit(principal, delivery, timezone.now())
    return JsonResponse({"sentence": _("Trying %(recipient)s again") % {"recipient": delivery.recipient}})


@require_POST
@for_people
def rewrite(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    """What was refused for what it says, opened in the composer; when it is too late for that, the list anew."""
    try:
        refused = rewrite_delivery(principal, delivery_for(principal, delivery_id), timezone.now())
    except NotPossibleNow as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(reverse("webmail:errors"))
    return HttpResponseRedirect(f"{reverse('webmail:compose')}?mend={refused.pk}")


@require_POST
@for_people
def readdress(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    """The same mail to a corrected address."""
    delivery = delivery_for(principal, delivery_id)
    again = readdress_delivery(principal, delivery, request.POST.get("recipient", ""), timezone.now())
    return JsonResponse({"sentence": _("Sending to %(recipient)s") % {"recipient": again.recipient}})


@require_POST
@for_people
def discard(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    """Take a failure off the list. The conversation keeps saying that this recipient did not get it."""
    delivery = delivery_for(principal, delivery_id)
    discard_delivery(principal, delivery, timezone.now())
    return _taken_off(reverse("webmail:restore", kwargs={"delivery_id": delivery.pk}))


@require_POST
@for_people
def restore(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    delivery = delivery_for(principal, delivery_id)
    restore_delivery(principal, delivery)
    return JsonResponse({})


@require_POST
@for_people
def discard_kept(request: HttpRequest, principal: Principal, refused_id: uuid.UUID) -> HttpResponse:
    """Throw away what was refused; for thirty days it can be brought back."""
    refused = refused_by_id(principal, refused_id)
    discard_refused(principal, refused, timezone.now())
    return _taken_off(reverse("webmail:restore-refused", kwargs={"refused_id": refused.pk}))


@require_POST
@for_people
def restore_kept(request: HttpRequest, principal: Principal, refused_id: uuid.UUID) -> HttpResponse:
    refused = refused_by_id(principal, refused_id)
    restore_refused(principal, refused)
    return JsonResponse({})


def _taken_off(undo_url: str) -> JsonResponse:
    return JsonResponse({"sentence": _("Taken off the list"), "undo_url": undo_url})
