"""App passwords: made by a member for their mail programs, shown once, taken back by whoever may see them.

A change answers with the list anew, which takes the place of the old one. A new password stands in that answer and
nowhere else: without scripts it is the page that answers the form, and loading it again asks before it makes another.
"""

import uuid
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.mailboxes.app_passwords import (
    app_password_for,
    app_passwords_for,
    create_app_password,
    revoke_app_password,
)
from apps.mailboxes.errors import AppPasswordInvalid
from apps.mailboxes.selectors import mailbox_for, visible_mailboxes
from apps.webmail.access import for_people, wants_fragment
from apps.webmail.shell import show_page, team_first


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def app_passwords(request: HttpRequest, principal: Principal) -> HttpResponse:
    """The person's own, and for admins everybody's; a POST makes one."""
    return _make(request, principal) if request.method == "POST" else _page(request, principal)


@sensitive_variables("words")
def _make(request: HttpRequest, principal: Principal) -> HttpResponse:
    mailbox, name = mailbox_for(principal, request.POST.get("mailbox", "")), request.POST.get("name", "")
    try:
        made, words = create_app_password(principal, mailbox, name=name, now=timezone.now())
    except AppPasswordInvalid as error:
        return _page(request, principal, wrong=error.reason, entered=name, chosen=mailbox.pk)
    return _page(request, principal, made=made, words=words)


@require_POST
@for_people
def revoke(request: HttpRequest, principal: Principal, app_password_id: uuid.UUID) -> HttpResponse:
    password = app_password_for(principal, app_password_id)
    revoke_app_password(principal, password, timezone.now())
    if wants_fragment(request):
        return _page(request, principal, revoked=password.name)
    return HttpResponseRedirect(reverse("webmail:app-passwords"))


def _page(request: HttpRequest, principal: Principal, **more: object) -> HttpResponse:
    context: dict[str, Any] = {
        "passwords": app_passwords_for(principal),
        "mailboxes": team_first(visible_mailboxes(principal)),
        "server": settings.MAIL_HOSTNAME or urlsplit(settings.WEB_ORIGIN).hostname,
        "port": settings.SUBMISSION_PORT,
        **more,
    }
    if wants_fragment(request):
        return render(request, "webmail/app_passwords_list.html", context | {"person": principal.user})
    return show_page(request, principal, "app_passwords", **context)
