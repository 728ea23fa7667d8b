"""What a browser is told when a request comes to nothing: Django's error handlers, in the product's look.

These pages need no database, no session and no script: whoever sees them may be seeing them because one of those is
away. A script's request gets the same in JSON.
"""

import sys

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from apps.webmail.access import wants_json

RETRY_AFTER_SECONDS = 30
_AWAY = (OperationalError, InterfaceError, RedisError)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What the browser sent cannot be read, or is too much."""
    if isinstance(exception, RequestDataTooBig):
        return HttpResponse(too_large_page(), status=413)
    return _tell(
        request,
        400,
        _("That cannot be read"),
        _("The address or the form was broken on its way. Nothing was done."),
    )


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _tell(request, 403, _("Not for you"), _("You may not do that. An admin of your organisation may."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The same for what is not there and for what is not to be seen."""
    words = _("It may have been moved, or it is not for you to see.")
    return _tell(request, 404, _("There is nothing here"), words)


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The page is older than the session: somebody signed in or out since, or it comes from elsewhere.

    Our own scripts are told who is signed in now and the token to go on with; no other origin can read that.
    """
    if wants_json(request):
        person = str(request.user.pk or "")
        told = {
            "code": "stale_form",
            "detail": _("This page is too old."),
            "person": person,
            "csrf": get_token(request),
        }
        return JsonResponse(told, status=403)
    words = _(
        "You signed in or out since it was opened. Nothing was done. Go back, load the page anew, and try again."
    )
    return _tell(request, 403, _("This page is too old"), words)


def failed(request: HttpRequest) -> HttpResponse:
    """Our own fault; or, when a server that we need is away, nobody's for long."""
    if isinstance(sys.exc_info()[1], _AWAY):
        words = _("The database does not answer. What was accepted is safe; what you just did was not done.")
        response = _tell(request, 503, _("Not right now"), words)
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
    words = _(
        "It was our fault, and it is in the log. What you did before is safe; what you just did was not done."
    )
    return _tell(request, 500, _("Something went wrong"), words)


def too_large_page() -> str:
    """For a form that is refused before it has been read."""
    words = _(
        "What you sent is larger than this server takes. Nothing was done. Go back, and leave a file out."
    )
    return _page(413, _("That is too large"), words)


def _tell(request: HttpRequest, status: int, title: str, words: str) -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"detail": words}, status=status)
    return HttpResponse(_page(status, title, words), status=status)


def _page(status: int, title: str, words: str) -> str:
    return render_to_string("webmail/trouble.html", {"status": status, "title": title, "words": words})
