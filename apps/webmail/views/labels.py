"""The page where labels and saved views are kept: made, named, coloured, put in order, and taken away.

A label is made in the list too, by the sheet that puts it on (`sheets.js`), which wants JSON.
"""

import uuid
from collections import defaultdict
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.errors import FieldInvalid
from apps.accounts.principal import Principal
from apps.mailboxes.labels import (
    change_label,
    create_label,
    delete_label,
    label_counts,
    label_for,
    labels_for,
)
from apps.mailboxes.models import LabelColour
from apps.mailboxes.saved_views import change_view, move_view, view_for, views_for
from apps.mailboxes.selectors import visible_mailboxes
from apps.webmail.access import for_people, wants_json
from apps.webmail.listing import query_in
from apps.webmail.shell import show_page, team_first


@require_safe
@for_people
def labels(request: HttpRequest, principal: Principal) -> HttpResponse:
    return _page(request, principal)


@require_POST
@for_people
def add(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Make a label, or give the one that has this name."""
    try:
        label = create_label(principal, request.POST.get("name", ""), request.POST.get("colour", ""))
    except FieldInvalid as error:
        if wants_json(request):
            return JsonResponse({"errors": {error.field: error.reason}, "detail": error.reason}, status=422)
        return _page(request, principal, wrong={"new": error.reason})
    if wants_json(request):
        made = {"id": str(label.pk), "name": label.name, "colour": label.colour}
        return JsonResponse(made, status=201)
    return _done(request, _("The label “%(name)s” is there.") % {"name": label.name})


@require_POST
@for_people
def change(request: HttpRequest, principal: Principal, label_id: uuid.UUID) -> HttpResponse:
    label = label_for(principal, label_id)
    try:
        change_label(principal, label, name=request.POST.get("name", ""), colour=request.POST.get("colour"))
    except FieldInvalid as error:
        return _page(request, principal, wrong={str(label.pk): error.reason})
    return _done(request, _("The label is changed."))


@require_POST
@for_people
def delete(request: HttpRequest, principal: Principal, label_id: uuid.UUID) -> HttpResponse:
    label = label_for(principal, label_id)
    count = delete_label(principal, label)
    gone = ngettext(
        "“%(name)s” is gone, and taken from %(count)s conversation.",
        "“%(name)s” is gone, and taken from %(count)s conversations.",
        count,
    )
    return _done(request, gone % {"name": label.name, "count": f"{count:,}"})


@require_POST
@for_people
def change_one_view(request: HttpRequest, principal: Principal, view_id: uuid.UUID) -> HttpResponse:
    """Its name and search; or with `move` its place."""
    view = view_for(principal, view_id)
    where = request.POST.get("move", "")
    if where:
        move_view(principal, view, up=where == "up")
        return HttpResponseRedirect(reverse("webmail:labels"))
    try:
        change_view(view, name=request.POST.get("name", ""), query=query_in(request))
    except FieldInvalid as error:
        return _page(request, principal, wrong={str(view.pk): error.reason})
    return _done(request, _("The view is changed."))


def _done(request: HttpRequest, sentence: str) -> HttpResponse:
    messages.success(request, sentence)
    return HttpResponseRedirect(reverse("webmail:labels"))


def _page(request: HttpRequest, principal: Principal, *, wrong: dict[str, str] | None = None) -> HttpResponse:
    """`wrong`: what cannot be kept, by the id of its row, or `new`."""
    wrong = wrong or {}
    counts = label_counts(principal)
    kept = [
        {"row": one, "count": counts.get(one.pk, 0), "wrong": wrong.get(str(one.pk), "")}
        for one in labels_for(principal)
    ]
    views: defaultdict[uuid.UUID, list[dict[str, Any]]] = defaultdict(list)
    for view in views_for(principal):
        views[view.mailbox_id].append({"row": view, "wrong": wrong.get(str(view.pk), "")})
    of_mailboxes = [
        {"mailbox": one, "views": views[one.pk]}
        for one in team_first(visible_mailboxes(principal))
        if one.pk in views
    ]
    context: dict[str, Any] = {
        "kept": kept,
        "colours": LabelColour.choices,
        "of_mailboxes": of_mailboxes,
        "wrong": wrong.get("new", ""),
        "typed": request.POST if wrong else {},
    }
    return show_page(request, principal, "labels", status=422 if wrong else 200, **context)
