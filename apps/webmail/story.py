"""A message's whole story: every recipient with every attempt, and everything that changed, when and by whom."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.accounts.models import ApiKey, User
from apps.accounts.principal import Principal
from apps.events.models import Event
from apps.events.selectors import events_of_message
from apps.mailboxes.models import AppPassword, Message
from apps.outbound.cause_titles import title_of
from apps.outbound.clocks import on_the_clock
from apps.outbound.models import Delivery, DeliveryAttempt, DeliveryState
from apps.outbound.selectors import attempts_of, explain
from apps.outbound.wire.smtp_reply import server_words
from apps.webmail.truths import DeliveryTruth

EVENTS_SHOWN = 200
# What a phase is called, in the order in which a conversation meets them. The fence is ours (we write down that the
# message is about to be handed over), the others are the server's.
PHASES = {
    "connect": gettext_lazy("connect"),
    "greeting": gettext_lazy("greeting"),
    "ehlo": gettext_lazy("hello"),
    "starttls": gettext_lazy("encrypt"),
    "auth": gettext_lazy("sign in"),
    "rset": gettext_lazy("reset"),
    "mail": gettext_lazy("sender"),
    "rcpt": gettext_lazy("recipient"),
    "data": gettext_lazy("data"),
    "body": gettext_lazy("message"),
    "fence": gettext_lazy("our own record"),
    "dot": gettext_lazy("answer"),
}
_HAPPENED = {
    "delivery.discarded": gettext_lazy("Taken off the error queue"),
    "delivery.restored": gettext_lazy("Put back into the error queue"),
    "message.told_delayed": gettext_lazy("The sender was told that it still waits"),
    "message.told_failed": gettext_lazy("The sender was told that it was not delivered"),
    "message.told_complained": gettext_lazy("The sender was told that it was reported as spam"),
}


@dataclass(frozen=True, slots=True)
class PhaseBar:
    """One piece of an attempt's bar, in hundredths of the whole."""

    name: str
    word: str
    milliseconds: int
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class ShownAttempt:
    attempt: DeliveryAttempt
    outcome: str
    words: str
    phases: list[PhaseBar]


@dataclass(frozen=True, slots=True)
class ToldRecipient:
    """One recipient: where it stands, the cause in a few words, and all that was tried."""

    truth: DeliveryTruth
    cause: str
    attempts: list[ShownAttempt]


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """One change: when, what in a few words, to whom, by whom ("" for the platform itself)."""

    at: datetime
    what: str
    recipient: str
    who: str


def tell_recipients(
    principal: Principal, message: Message, deliveries: Sequence[Delivery], now: datetime
) -> list[ToldRecipient]:
    """These recipients of a message, each with its attempts."""
    attempts = attempts_of(principal, message, deliveries)
    return [
        ToldRecipient(
            DeliveryTruth(one, explain(one, now)),
            title_of(one.cause) if one.cause else "",
            [_show(attempt, now) for attempt in attempts.get(one.pk, [])],
        )
        for one in deliveries
    ]


def _show(attempt: DeliveryAttempt, now: datetime) -> ShownAttempt:
    outcome = str(DeliveryState(attempt.outcome).label) if attempt.outcome else ""
    known = [(name, attempt.phases_ms[name]) for name in PHASES if attempt.phases_ms.get(name) is not None]
    known += [(name, took) for name, took in attempt.phases_ms.items() if name not in PHASES]
    total = sum(took for _name, took in known)
    bars, start = [], 0.0
    for name, took in known:
        width = 100 * took / total if total else 100 / len(known)
        bars.append(PhaseBar(name, str(PHASES.get(name, name)), took, round(start, 2), round(width, 2)))
        start += width
    return ShownAttempt(attempt, outcome, words_of(attempt, now), bars)


def words_of(attempt: DeliveryAttempt, now: datetime) -> str:
    """What the server said, with its codes; or our own account."""
    return server_words(attempt.code, attempt.enhanced, on_the_clock(attempt.text, now))


def tell_events(principal: Principal, message: Message) -> list[ToldEvent]:
    """What happened to the message, latest first, as far as its last `EVENTS_SHOWN` events."""
    events = list(events_of_message(principal.organisation_id, message.pk).order_by("-id")[:EVENTS_SHOWN])
    wanted = {event.delivery_id for event in events if event.delivery_id is not None}
    recipients = dict(Delivery.objects.filter(pk__in=wanted).values_list("pk", "recipient"))
    people = _names(principal, {event.actor for event in events})
    return [
        ToldEvent(
            event.created_at,
            _what(event),
            recipients.get(event.delivery_id, "") if event.delivery_id else "",
            people.get(event.actor, ""),
        )
        for event in events
        if event.ticket_id is None
    ]


def _what(event: Event) -> str:
    if event.kind == "message.submitted":
        count = int(event.data.get("recipients", 0))
        words = ngettext("Written to %(count)s recipient", "Written to %(count)s recipients", count)
        return words % {"count": count}
    if event.kind in _HAPPENED:
        return str(_HAPPENED[event.kind])
    state = event.kind.removeprefix("delivery.")
    if state in DeliveryState.values:
        label = str(DeliveryState(state).label)
        cause = str(event.data.get("cause") or "")
        if cause and state in (DeliveryState.QUEUED, DeliveryState.SCHEDULED):
            return title_of(cause)
        return f"{label}: {title_of(cause)}" if cause else label
    return event.kind.replace(".", " ").replace("_", " ").capitalize()


def _names(principal: Principal, actors: Iterable[str]) -> dict[str, str]:
    """People, keys and devices by how events name them."""
    ids: dict[str, list[uuid.UUID]] = {"user": [], "key": [], "app-password": []}
    for actor in actors:
        kind, _colon, actor_id = actor.partition(":")
        if kind in ids:
            ids[kind].append(uuid.UUID(actor_id))
    within = {"organisation": principal.organisation_id}
    users = User.objects.filter(pk__in=ids["user"], **within).values_list("pk", "name")
    keys = ApiKey.objects.filter(pk__in=ids["key"], **within).values_list("pk", "name")
    passwords = AppPassword.objects.filter(pk__in=ids["app-password"], **within).values_list("pk", "name")
    return {
        **{f"user:{pk}": name for pk, name in users},
        **{f"key:{pk}": _("the key %(name)s") % {"name": name} for pk, name in keys},
        **{f"app-password:{pk}": name for pk, name in passwords},
    }
