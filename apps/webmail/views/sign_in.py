"""Signing in and out."""

from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.guesses import WINDOW_SECONDS, Guess
from apps.accounts.principal import Principal
from apps.webmail.access import for_people, wants_json

HOME = "webmail:home"


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The one page that everybody may see. It never tells whether an address exists.

    A page whose session has ended signs its person in again from where it is, and asks for JSON.
    """
    if request.method == "GET":
        if request.user.is_authenticated:
            return HttpResponseRedirect(_next_url(request))
        return render(request, "webmail/sign_in.html", {"next": request.GET.get("next", "")})
    email, password = request.POST.get("email", "").strip(), request.POST.get("password", "")
    guess = Guess("sign-in", email, request.META.get("REMOTE_ADDR", ""))
    if guess.is_barred:
        problem = _("Too many tries. Please wait %(minutes)s minutes, then try again.")
        return _refuse(request, email, problem % {"minutes": WINDOW_SECONDS // 60}, status=429)
    user = authenticate(request, username=email, password=password)
    if user is None:
        guess.failed()
        return _refuse(request, email, _("This address and password do not fit together."), status=422)
    guess.succeeded()
    login(request, user)
    if wants_json(request):
        return _session_of(request)
    return HttpResponseRedirect(_next_url(request))


@require_POST
@for_people
def session(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Whether a page's session is still there; 401 where it is not."""
    return _session_of(request)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponseRedirect(resolve_url("webmail:sign-in"))


def _refuse(request: HttpRequest, email: str, problem: str, *, status: int) -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"detail": problem}, status=status)
    context = {"email": email, "problem": problem, "next": request.POST.get("next", "")}
    response = render(request, "webmail/sign_in.html", context, status=status)
    if status == 429:
        response["Retry-After"] = str(WINDOW_SECONDS)
    return response


def _session_of(request: HttpRequest) -> JsonResponse:
    """Who is signed in, and the token that forms now need. No other origin can read it."""
    return JsonResponse({"person": str(request.user.pk), "csrf": get_token(request)})


def _next_url(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    # Only our own pages: a link that signs one in must not lead elsewhere.
    if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
        return wanted
    return resolve_url(HOME)
