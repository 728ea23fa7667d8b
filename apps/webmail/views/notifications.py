"""The page Notifications, a browser's subscription, and the script that shows what was pushed to it."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.principal import Principal
from apps.notifications.errors import NotificationInvalid
from apps.notifications.services import keep_wish, public_key, subscribe, unsubscribe, wish_of
from apps.webmail.access import for_people
from apps.webmail.built_files import built_path
from apps.webmail.shell import show_page


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def notifications(request: HttpRequest, principal: Principal) -> HttpResponse:
    """What one is told of, and when not."""
    if request.method != "POST":
        return _page(request, principal)
    typed = request.POST
    try:
        keep_wish(
            principal,
            about_mine="about_mine" in typed,
            about_team="about_team" in typed,
            shows_mail="shows_mail" in typed,
            quiet=(typed.get("quiet_from", ""), typed.get("quiet_until", "")),
            timezone=typed.get("timezone", "UTC"),
        )
    except NotificationInvalid as error:
        return _page(request, principal, wrong=error.reason, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    messages.success(request, _("Saved. It holds from now on."))
    return HttpResponseRedirect(reverse("webmail:notifications"))


@require_POST
@for_people
def subscribe_browser(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Tell this browser, for as long as this session lasts."""
    try:
        subscribe(
            principal,
            session_key=request.session.session_key or "",
            endpoint=request.POST.get("endpoint", ""),
            p256dh=request.POST.get("p256dh", ""),
            auth=request.POST.get("auth", ""),
            allowed=settings.WEBHOOK_ALLOWED_NETWORKS,
            now=timezone.now(),
        )
    except NotificationInvalid as error:
        return JsonResponse({"errors": {error.field: error.reason}}, status=422)
    return JsonResponse({})


@require_POST
@for_people
def unsubscribe_browser(request: HttpRequest, principal: Principal) -> HttpResponse:
    unsubscribe(principal, request.POST.get("endpoint", ""))
    return JsonResponse({})


@require_safe
def service_worker(request: HttpRequest) -> HttpResponse:
    """Stands at the root, because a service worker reaches no higher than its own address; and loads nothing."""
    found = finders.find(built_path("service-worker.js"))
    if not isinstance(found, str):
        raise Http404
    response = HttpResponse(Path(found).read_bytes(), content_type="text/javascript; charset=utf-8")
    response["Content-Security-Policy"] = "default-src 'none'"
    response["Cache-Control"] = "no-cache"
    return response


def _page(
    request: HttpRequest, principal: Principal, *, wrong: str = "", status: int = HTTPStatus.OK
) -> HttpResponse:
    context: dict[str, Any] = {
        "wish": wish_of(principal),
        "public_key": public_key(),
        "wrong": wrong,
        "zone": str(timezone.get_current_timezone()),
    }
    return show_page(request, principal, "notifications", status=status, **context)
