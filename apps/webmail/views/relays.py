"""Relays: what mail goes out over, how each of them is, and for admins: adding, changing, testing."""

import uuid
from dataclasses import dataclass

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.principal import Principal
from apps.outbound.errors import RelayInvalid
from apps.outbound.limits.selectors import Use, use_of_relays
from apps.outbound.models import Lane, Relay
from apps.outbound.relays.selectors import RelayHealth, health_of, relay_for, relays_for
from apps.outbound.relays.services import add_relay, change_relay, pause_relay, remove_relay, resume_relay
from apps.outbound.relays.trial import Trial, demand_may_try, try_relay
from apps.webmail.access import for_people, wants_fragment
from apps.webmail.relay_forms import RelayForm, TypedRelay
from apps.webmail.shell import show_page


@dataclass(frozen=True, slots=True)
class ShownRelay:
    relay: Relay
    health: RelayHealth
    use: Use

    @property
    def lanes(self) -> list[str]:
        """Which priority classes it is for, in words; [] for all."""
        return [str(Lane(lane).label) for lane in self.relay.lanes]

    @property
    def windows(self) -> list[tuple[str, int | None, int]]:
        """Each bounded window in words, what is used of it (None while nobody can tell), and the bound."""
        words = {
            "per_second": _("a second"),
            "per_minute": _("a minute"),
            "per_hour": _("an hour"),
            "per_day": _("in 24 hours"),
        }
        bounds = [(name, word, getattr(self.use.bounds, name)) for name, word in words.items()]
        used = self.use.windows or {}
        return [(word, used.get(name), bound) for name, word, bound in bounds if bound is not None]


@require_safe
@for_people
def relays(request: HttpRequest, principal: Principal) -> HttpResponse:
    """All of them, in the order in which they are asked."""
    found = list(relays_for(principal))
    health = health_of(found, timezone.now())
    use = use_of_relays(found, principal.organisation_id)
    shown = [ShownRelay(one, health[one.pk], use[one.pk]) for one in found]
    return show_page(request, principal, "relays", shown=shown, may_change=principal.is_admin)


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def add(request: HttpRequest, principal: Principal) -> HttpResponse:
    if request.method != "POST":
        if not principal.is_admin:
            return HttpResponseRedirect(reverse("webmail:relays"))
        form = RelayForm(TypedRelay.new(request.GET.get("kind", "")))
        return show_page(request, principal, "relays", "relay_new", form=form)
    typed = TypedRelay.typed_in(request.POST)
    try:
        relay = add_relay(principal, typed.wishes(request.POST), timezone.now())
    except RelayInvalid as error:
        form = RelayForm(typed, errors={error.field: error.reason})
        return show_page(request, principal, "relays", "relay_new", status=422, form=form)
    return HttpResponseRedirect(reverse("webmail:relay", args=[relay.pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def relay(request: HttpRequest, principal: Principal, relay_id: uuid.UUID) -> HttpResponse:
    """One relay: its health, its test, its settings."""
    found = relay_for(principal, relay_id)
    form = RelayForm(TypedRelay.of(found), has_secret=found.has_secret)
    if request.method != "POST":
        return _relay_page(request, principal, found, form)
    typed = TypedRelay.typed_in(request.POST, kind=found.kind)
    try:
        change_relay(principal, found, typed.wishes(request.POST), timezone.now())
    except RelayInvalid as error:
        found.refresh_from_db()
        form = RelayForm(typed, has_secret=found.has_secret, errors={error.field: error.reason})
        return _relay_page(request, principal, found, form, status=422)
    return HttpResponseRedirect(f"{reverse('webmail:relay', args=[relay_id])}?saved=1")


@require_POST
@for_people
def test(request: HttpRequest, principal: Principal, relay_id: uuid.UUID) -> HttpResponse:
    """A real conversation, told step by step."""
    found = relay_for(principal, relay_id)
    trial, problem = Trial(), ""
    try:
        demand_may_try(principal)
        trial = async_to_sync(try_relay)(
            found,
            sender=request.POST.get("sender", "").strip(),
            recipient=request.POST.get("recipient", "").strip(),
        )
    except RelayInvalid as error:
        problem = error.reason
    if wants_fragment(request):
        return render(request, "webmail/relay_trial.html", {"trial": trial, "problem": problem})
    form = RelayForm(TypedRelay.of(found), has_secret=found.has_secret)
    return _relay_page(request, principal, found, form, trial=trial, problem=problem)


@require_POST
@for_people
def pause(request: HttpRequest, principal: Principal, relay_id: uuid.UUID) -> HttpResponse:
    pause_relay(principal, relay_for(principal, relay_id), timezone.now())
    return HttpResponseRedirect(reverse("webmail:relay", args=[relay_id]))


@require_POST
@for_people
def resume(request: HttpRequest, principal: Principal, relay_id: uuid.UUID) -> HttpResponse:
    resume_relay(principal, relay_for(principal, relay_id), timezone.now())
    return HttpResponseRedirect(reverse("webmail:relay", args=[relay_id]))


@require_POST
@for_people
def remove(request: HttpRequest, principal: Principal, relay_id: uuid.UUID) -> HttpResponse:
    remove_relay(principal, relay_for(principal, relay_id), timezone.now())
    return HttpResponseRedirect(reverse("webmail:relays"))


def _relay_page(
    request: HttpRequest,
    principal: Principal,
    relay: Relay,
    form: RelayForm,
    *,
    status: int = 200,
    trial: Trial | None = None,
    problem: str = "",
) -> HttpResponse:
    now = timezone.now()
    return show_page(
        request,
        principal,
        "relays",
        "relay",
        status=status,
        shown=ShownRelay(
            relay,
            health_of([relay], now)[relay.pk],
            use_of_relays([relay], principal.organisation_id)[relay.pk],
        ),
        form=form,
        trial=trial,
        problem=problem,
        may_test=principal.is_admin,
        may_change=principal.is_admin and not relay.from_environment,
        is_saved=request.GET.get("saved") == "1",
    )
