"""What one does to conversations in a list: to one, to those that are ticked, to all that a search finds."""

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from apps.accounts.errors import FieldInvalid
from apps.accounts.principal import Principal
from apps.mailboxes.models import Folder
from apps.mailboxes.selectors import mailbox_for
from apps.tickets.bulk import MAX_CONVERSATIONS, Wish, change_for, do_to_many, undo
from apps.tickets.errors import TicketInvalid
from apps.tickets.finding import all_found
from apps.tickets.models import BulkChange, Deed
from apps.webmail.access import for_people
from apps.webmail.listing import asked_in
from apps.webmail.send_later import read_moment, told

NOBODY = "nobody"


@require_POST
@for_people
def handle(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, folder: Folder) -> HttpResponse:
    """Do one thing (`do`) to conversations: those that `thread` names, or with `all` the whole folder or search.

    Several are named with blanks between: a form has at most a thousand fields.
    """
    mailbox = mailbox_for(principal, mailbox_id)
    now = timezone.now()
    try:
        wish = _wish(request)
        if request.POST.get("all") == "1":
            threads = all_found(principal, mailbox, folder, asked_in(request), limit=MAX_CONVERSATIONS)
        else:
            named = " ".join(request.POST.getlist("thread")).split()
            threads = [_uuid("thread", one) for one in named]
        change = do_to_many(principal, mailbox, threads, wish, now=now)
    except (TicketInvalid, FieldInvalid) as error:
        return JsonResponse({"errors": {error.field: error.reason}, "detail": error.reason}, status=422)
    return JsonResponse(
        {
            "sentence": _sentence(change, wish),
            "changed": change.before["conversations"],
            "undo_url": reverse("webmail:undo-change", kwargs={"change_id": change.pk}),
        }
    )


@require_POST
@for_people
def undo_change(request: HttpRequest, principal: Principal, change_id: uuid.UUID) -> HttpResponse:
    undone = undo(principal, change_for(principal, change_id), now=timezone.now())
    return JsonResponse({"sentence": _("Taken back") if undone else _("That was taken back already")})


def _wish(request: HttpRequest) -> Wish:
    """Raises TicketInvalid naming the field."""
    wanted, value = request.POST.get("do", ""), request.POST.get("value", "")
    if wanted not in Deed.values:
        raise TicketInvalid("do", _("That cannot be done to conversations."))
    deed = Deed(wanted)
    given: dict[str, Any] = {}
    if deed in {Deed.LABEL, Deed.UNLABEL}:
        given["label_id"] = str(_uuid("value", value))
    elif deed == Deed.ASSIGN and value != NOBODY:
        given["assignee_id"] = _uuid("value", value)
    elif deed == Deed.SNOOZE:
        given["until"] = read_moment(value)
    return Wish(deed, **given)


def _uuid(field: str, value: str) -> uuid.UUID:
    try:
        return uuid.UUID(value)
    except ValueError as error:
        raise TicketInvalid(field, _("There is nothing with this id.")) from error


def _sentence(change: BulkChange, wish: Wish) -> str:
    """What was done, as the toast says it."""
    count = change.before["conversations"]
    done = str(Deed(change.deed).label)
    if wish.until is not None:
        done = _("Snoozed until %(moment)s") % {"moment": told(wish.until)}
    if count == 1:
        return done
    conversations = ngettext("%(count)s conversation", "%(count)s conversations", count) % {
        "count": f"{count:,}"
    }
    return _("%(done)s: %(conversations)s") % {"done": done, "conversations": conversations}
