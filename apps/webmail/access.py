"""The door of every page: who is asking, on whose clock, and what the rooms' errors look like in a browser.

A person who is not signed in is sent to the sign-in page; a script's request gets 401 instead, for a redirect would put
the sign-in page into the middle of a list. What a person may not see answers exactly as what does not exist: 404.
"""

import zoneinfo
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.translation import gettext as _

from apps.accounts.errors import AdminsOnly, ReadOnly
from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.blobs.errors import BlobError
from apps.mailboxes.errors import NotVisible
from apps.outbound.errors import NotPossibleNow, SubmissionInvalid
from apps.tickets.errors import MoveNotPossible, NotHeld
from apps.webmail.shell import show_page
from apps.writing.errors import WritingInvalid

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, Principal, P], HttpResponse]


def wants_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of the page. Its requests for whole pages (history) say `full`."""
    return request.headers.get("HX-Request-Type") == "partial"


def wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


def for_people(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """A view for a signed-in person, given its Principal; the rooms' errors become answers."""

    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not isinstance(request.user, User):
            return _ask_to_sign_in(request)
        principal = Principal.of_user(request.user)
        with timezone.override(_clock_of(request)):
            try:
                response = view(request, principal, *args, **kwargs)
            except NotVisible as error:
                raise Http404 from error
            except (SubmissionInvalid, WritingInvalid) as error:
                response = JsonResponse({"detail": error.reason}, status=422)
            except AdminsOnly as error:
                response = _not_done(request, principal, 403, _("For admins"), str(error))
            except (ReadOnly, NotPossibleNow, NotHeld, MoveNotPossible) as error:
                response = _not_done(request, principal, 409, _("Not possible now"), str(error))
            except BlobError:
                words = _(
                    "The store for large files does not answer. Nothing is lost. Please try again in a minute."
                )
                response = _not_done(request, principal, 503, _("Not right now"), words)
        # Pages and fragments share addresses, and both hold mail: no cache keeps either.
        patch_vary_headers(response, ["HX-Request-Type", "Accept", "Cookie"])
        add_never_cache_headers(response)
        return response

    return answer


def _ask_to_sign_in(request: HttpRequest) -> HttpResponse:
    if request.method != "GET" or wants_fragment(request) or wants_json(request):
        return JsonResponse({"detail": _("You are signed out.")}, status=401)
    query = urlencode({"next": request.get_full_path()})
    return HttpResponseRedirect(f"{reverse('webmail:sign-in')}?{query}")


def _clock_of(request: HttpRequest) -> zoneinfo.ZoneInfo:
    """The clock on the person's wall, as their browser told in a cookie; UTC until it has."""
    try:
        return zoneinfo.ZoneInfo(request.COOKIES.get("timezone", "UTC"))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return zoneinfo.ZoneInfo("UTC")


def _not_done(
    request: HttpRequest, principal: Principal, status: int, title: str, detail: str
) -> HttpResponse:
    """For whoever came by a link or an address: a page, with the way to all others around it. Scripts get JSON."""
    if wants_fragment(request) or "text/html" not in request.headers.get("Accept", ""):
        return JsonResponse({"detail": detail}, status=status)
    return show_page(
        request, principal, "not_done", status=status, title=title, detail=detail, is_forbidden=status == 403
    )
