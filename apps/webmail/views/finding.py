"""Finding: how many there are, what somebody may be about to type, and searches that are kept."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.errors import FieldInvalid
from apps.accounts.principal import Principal
from apps.mailboxes.models import Folder
from apps.mailboxes.saved_views import save_view, view_for
from apps.mailboxes.selectors import mailbox_for
from apps.tickets.bulk import MAX_CONVERSATIONS
from apps.tickets.finding import all_found
from apps.webmail.access import for_people, wants_json
from apps.webmail.listing import asked_in, query_in
from apps.webmail.suggesting import suggest


@require_safe
@for_people
def count(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, folder: Folder) -> HttpResponse:
    """How many conversations "all of these" are, as far as they can be handled in one go."""
    mailbox = mailbox_for(principal, mailbox_id)
    found = all_found(principal, mailbox, folder, asked_in(request), limit=MAX_CONVERSATIONS + 1)
    more = len(found) > MAX_CONVERSATIONS
    return JsonResponse({"count": min(len(found), MAX_CONVERSATIONS), "more": more})


@require_safe
@for_people
def suggestions(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID) -> HttpResponse:
    """What the piece of a search that is being typed may become."""
    mailbox = mailbox_for(principal, mailbox_id)
    piece = request.GET.get("piece", "")[:200]
    options = [
        {"insert": one.insert, "label": one.label, "detail": one.detail, "kind": one.kind}
        for one in suggest(principal, mailbox, piece)
    ]
    return JsonResponse({"options": options})


@require_POST
@for_people
def save(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID) -> HttpResponse:
    mailbox = mailbox_for(principal, mailbox_id)
    try:
        view = save_view(
            principal,
            mailbox,
            name=request.POST.get("name", ""),
            query=query_in(request),
            shared=request.POST.get("shared") == "1",
            now=timezone.now(),
        )
    except FieldInvalid as error:
        return JsonResponse({"errors": {error.field: error.reason}, "detail": error.reason}, status=422)
    folder = reverse("webmail:folder", kwargs={"mailbox_id": mailbox.pk, "folder": Folder.INBOX})
    return JsonResponse({"go_to": f"{folder}?{urlencode({'q': view.query})}"}, status=201)


@require_POST
@for_people
def remove(request: HttpRequest, principal: Principal, view_id: uuid.UUID) -> HttpResponse:
    view_for(principal, view_id).delete()
    sentence = _("The view is gone. What it found is still there.")
    if wants_json(request):
        return JsonResponse({"sentence": sentence})
    messages.success(request, sentence)
    return HttpResponseRedirect(reverse("webmail:labels"))
