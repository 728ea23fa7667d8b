"""What one presses in a mail: the answer to an invitation, and the way out of a list. Each is told in a sentence."""

import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts.principal import Principal
from apps.mailboxes.selectors import mailbox_for, message_for
from apps.outbound.errors import QuotaReached
from apps.reading.errors import NothingToAnswer
from apps.reading.invitations import answer_invitation
from apps.reading.models import Attendance, Unsubscription
from apps.reading.unsubscribing import Way, unsubscribe
from apps.webmail.access import for_people


@require_POST
@for_people
def answer(
    request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, message_id: uuid.UUID
) -> HttpResponse:
    mailbox, message = mailbox_for(principal, mailbox_id), message_for(principal, message_id)
    chosen = request.POST.get("answer", "")
    if chosen not in Attendance.values:
        return JsonResponse({"detail": _("Nothing was chosen.")}, status=422)
    try:
        row = answer_invitation(principal, mailbox, message, Attendance(chosen), now=timezone.now())
    except NothingToAnswer as error:
        return JsonResponse({"detail": str(error)}, status=409)
    except QuotaReached:
        return _too_many()
    sentence = {
        Attendance.ACCEPTED: _("You accept. The organiser is told."),
        Attendance.TENTATIVE: _("You may come. The organiser is told."),
        Attendance.DECLINED: _("You decline. The organiser is told."),
    }[Attendance(row.answer)]
    undo_url = reverse("webmail:cancel", kwargs={"message_id": row.reply_id}) if row.reply_id else ""
    return JsonResponse({"sentence": sentence, "undo_url": undo_url})


@require_POST
@for_people
def leave_list(
    request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, message_id: uuid.UUID
) -> HttpResponse:
    mailbox, message = mailbox_for(principal, mailbox_id), message_for(principal, message_id)
    try:
        row = unsubscribe(principal, mailbox, message, now=timezone.now())
    except NothingToAnswer as error:
        return JsonResponse({"detail": str(error)}, status=409)
    except QuotaReached:
        return _too_many()
    return JsonResponse({"sentence": _told(row)})


def _told(row: Unsubscription) -> str:
    if row.failed_because:
        return _("The list did not take it. Its own page may.")
    if row.way == Way.MAIL:
        return _("A mail that leaves the list is on its way.")
    return _("You have left the list. It may take some days until nothing comes any more.")


def _too_many() -> JsonResponse:
    return JsonResponse({"detail": _("You have sent as much as you may today.")}, status=429)
