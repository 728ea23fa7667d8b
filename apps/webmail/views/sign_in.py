"""Signing in and out."""

from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.guesses import WINDOW_SECONDS, Guess

HOME = "webmail:home"


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The one page that everybody may see. It never tells whether an address exists."""
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
    return HttpResponseRedirect(_next_url(request))


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponseRedirect(resolve_url("webmail:sign-in"))


def _refuse(request: HttpRequest, email: str, problem: str, *, status: int) -> HttpResponse:
    context = {"email": email, "problem": problem, "next": request.POST.get("next", "")}
    response = render(request, "webmail/sign_in.html", context, status=status)
    if status == 429:
        response["Retry-After"] = str(WINDOW_SECONDS)
    return response


def _next_url(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    # Only our own pages: a link that signs one in must not lead elsewhere.
    if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
        return wanted
    return resolve_url(HOME)
