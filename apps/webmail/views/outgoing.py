"""What is going out: all that waits and why, and what one does about it; a message's story; the queue's figures."""

import uuid
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.selectors import is_on_senders_side, message_for
from apps.outbound.cause_titles import title_of
from apps.outbound.clocks import on_the_clock
from apps.outbound.figures import Diagnosis
from apps.outbound.models import UNFINISHED, DeliveryState
from apps.outbound.selectors import (
    CauseOfWaiting,
    causes_of_waiting,
    deliveries_for,
    delivery_for,
    explain,
    queue_figures,
    relays_to_choose,
    waiting_for,
)
from apps.outbound.services import (
    cancel_delivery,
    cancel_waiting,
    resolve_uncertain,
    retry_delivery,
    retry_waiting,
)
from apps.webmail.access import for_people
from apps.webmail.paging import PlaceInList, cut
from apps.webmail.shell import show_page
from apps.webmail.story import tell_events, tell_recipients
from apps.webmail.truths import DeliveryTruth

SHOWN_AT_ONCE = 50
RECIPIENTS_TOLD = 20


@dataclass(frozen=True, slots=True)
class WaitingGroup:
    """Those who wait for one cause, and what can be done for all of them at once."""

    found: CauseOfWaiting
    title: str
    evidence: str
    is_chosen: bool

    @property
    def can_be_hurried(self) -> bool:
        return self.found.cause not in {DeliveryState.SENDING, "undo_window", "schedule", "reply_lost"}

    @property
    def can_be_stopped(self) -> bool:
        return self.found.cause not in {DeliveryState.SENDING, "reply_lost"}


@dataclass(frozen=True, slots=True)
class Holding:
    """One thing that holds the queue up, with its heading."""

    found: Diagnosis
    title: str
    evidence: str


@require_safe
@for_people
def outbox(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Every recipient who has not got a mail of ours yet, by cause, oldest first."""
    now = timezone.now()
    cause = request.GET.get("cause") or None
    place = PlaceInList.read(request.GET.get("after", ""))
    waiting = waiting_for(principal, cause)
    found = list((place.after(waiting) if place else waiting)[: SHOWN_AT_ONCE + 1])
    shown, after = cut(found, SHOWN_AT_ONCE)
    causes, more_than_counted = causes_of_waiting(principal)
    return show_page(
        request,
        principal,
        "outbox",
        groups=[
            WaitingGroup(one, title_of(one.cause), on_the_clock(one.evidence, now), one.cause == cause)
            for one in causes
        ],
        total=sum(one.count for one in causes),
        more_than_counted=more_than_counted,
        cause=cause or "",
        cause_title=title_of(cause) if cause else "",
        waiting=[DeliveryTruth(one, explain(one, now)) for one in shown],
        after=after,
        is_first=place is None,
        relays=list(relays_to_choose(principal)),
    )


@require_POST
@for_people
def hurry(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Try now for all who wait for one cause, over another relay where one is named."""
    cause, relay_id = request.POST.get("cause", ""), request.POST.get("relay") or None
    count = retry_waiting(principal, cause, timezone.now(), relay_id=relay_id)
    words = ngettext("Trying %(count)s recipient now", "Trying %(count)s recipients now", count)
    return JsonResponse({"sentence": words % {"count": count}})


@require_POST
@for_people
def stop(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Take back from all who wait for one cause."""
    count = cancel_waiting(principal, request.POST.get("cause", ""), timezone.now())
    words = ngettext("Not sent to %(count)s recipient", "Not sent to %(count)s recipients", count)
    return JsonResponse({"sentence": words % {"count": count}})


@require_POST
@for_people
def retry_recipient(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    """Try now for one recipient, over another relay where one is named."""
    delivery = delivery_for(principal, delivery_id)
    retry_delivery(principal, delivery, timezone.now(), relay_id=request.POST.get("relay") or None)
    return JsonResponse({})


@require_POST
@for_people
def cancel_recipient(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    """Take a mail back from one recipient; the others get it."""
    delivery = delivery_for(principal, delivery_id)
    cancel_delivery(principal, delivery, timezone.now())
    return JsonResponse({"sentence": _("Not sent to %(recipient)s") % {"recipient": delivery.recipient}})


@require_POST
@for_people
def resolve(request: HttpRequest, principal: Principal, delivery_id: uuid.UUID) -> HttpResponse:
    """A person decides what nobody could tell: whether a mail arrived whose server's last answer was lost."""
    delivery = delivery_for(principal, delivery_id)
    wanted = request.POST.get("state", "")
    if wanted not in DeliveryState.values:
        return JsonResponse({"errors": {"state": wanted}}, status=422)
    resolve_uncertain(principal, delivery, DeliveryState(wanted), timezone.now())
    return JsonResponse({})


@require_safe
@for_people
def story(request: HttpRequest, principal: Principal, message_id: uuid.UUID) -> HttpResponse:
    """Everything that is known about the sending of one message; for its sender's side."""
    message = message_for(principal, message_id)
    if not is_on_senders_side(principal, message):
        raise NotVisible(str(message_id))
    place = PlaceInList.read(request.GET.get("after", ""))
    deliveries = deliveries_for(principal).filter(message=message).order_by("created_at", "id")
    deliveries = deliveries.select_related("message", "relay", "pinned_relay")
    found = list((place.after(deliveries) if place else deliveries)[: RECIPIENTS_TOLD + 1])
    shown, after = cut(found, RECIPIENTS_TOLD)
    return show_page(
        request,
        principal,
        "story",
        message=message,
        recipients=tell_recipients(principal, message, shown, timezone.now()),
        events=tell_events(principal, message),
        after=after,
    )


@require_safe
@for_people
def queue(request: HttpRequest, principal: Principal) -> HttpResponse:
    """What waits, where, and what holds it up."""
    now = timezone.now()
    figures = queue_figures(principal, now)
    states = [
        (DeliveryState(state).label, figures.by_state[state])
        for state in DeliveryState
        if figures.by_state.get(state)
    ]
    return show_page(
        request,
        principal,
        "queue",
        figures=figures,
        waiting=sum(figures.by_state.get(state, 0) for state in UNFINISHED),
        held_up_by=[
            Holding(one, title_of(one.cause), on_the_clock(one.evidence, now)) for one in figures.diagnosis
        ],
        states=states,
    )
