"""Why a recipient has the message, or not yet, or never will: one sentence with its evidence and the next try.

The rows say it in codes and in the servers' own words; this says it to a person. Every state and cause has a
sentence, and one that is not known here is shown with what the row holds.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.outbound.causes import Cause
from apps.outbound.clocks import clock, on_the_clock
from apps.outbound.models import WAITING, Delivery, DeliveryState

Icon = Literal["good", "wait", "bad"]

_ICONS: dict[str, Icon] = {
    DeliveryState.SENT: "good",
    DeliveryState.DELIVERED: "good",
    DeliveryState.SCHEDULED: "wait",
    DeliveryState.QUEUED: "wait",
    DeliveryState.SENDING: "wait",
    DeliveryState.DEFERRED: "wait",
}

# Nothing of it has left the house, whatever the reason sounds like.
_SCREENED_OUT = frozenset({Cause.INFECTED, Cause.SPAM, Cause.POLICY_ATTACHMENT})


@dataclass(frozen=True, slots=True)
class Explanation:
    """A delivery told to a person. `next_attempt_at` is None when nothing will happen by itself."""

    state: str
    icon: Icon
    sentence: str
    next_attempt_at: datetime | None


def explain(delivery: Delivery, now: datetime) -> Explanation:
    """One delivery in one sentence. Its times are in Django's current time zone, which they name: UTC over REST, the
    person's own in the browser.
    """
    reason = on_the_clock(delivery.reason, now)
    return Explanation(
        state=delivery.state,
        icon=_ICONS.get(delivery.state, "bad"),
        sentence=_waiting(delivery, reason, now) if delivery.state in WAITING else _at_rest(delivery, reason),
        next_attempt_at=delivery.due_at,
    )


# What a delivery waits for, around what its row says of it.
_WAITS_FOR: dict[str, str | Promise] = {
    Cause.RELAY_UNAVAILABLE: gettext_lazy("Our relay could not take it: %(reason)s."),
    Cause.RELAY_REFUSED: gettext_lazy("Our relay refused us: %(reason)s."),
    Cause.NO_RELAY_SERVES: gettext_lazy("No relay of ours may take it: %(reason)s."),
    Cause.RECIPIENT_UNAVAILABLE: gettext_lazy("The recipient's side put it off: %(reason)s."),
    Cause.SCANNER_UNAVAILABLE: gettext_lazy("Nothing is sent before it was screened: %(reason)s."),
    Cause.SENDER_LIMIT: gettext_lazy("Waiting for a limit: %(reason)s."),
    Cause.ORGANISATION_LIMIT: gettext_lazy("Waiting for a limit: %(reason)s."),
    Cause.RELAY_LIMIT: gettext_lazy("Waiting for a limit: %(reason)s."),
    Cause.DESTINATION_LIMIT: gettext_lazy("Waiting for a limit: %(reason)s."),
    Cause.PROVIDER_LIMIT: gettext_lazy("The provider had enough for now: %(reason)s."),
    Cause.GREYLISTED: gettext_lazy(
        "The recipient's server takes strangers only on the second try: %(reason)s."
    ),
    Cause.MAILBOX_FULL: gettext_lazy("The recipient's mailbox is full: %(reason)s."),
    Cause.REPUTATION_BLOCK: gettext_lazy("The provider distrusts our address for now: %(reason)s."),
}


def _waiting(delivery: Delivery, reason: str, now: datetime) -> str:
    if delivery.due_at is None:
        msg = f"delivery {delivery.pk} waits for no time"
        raise ValueError(msg)
    at = clock(delivery.due_at, now)
    if delivery.due_at <= now:
        since = _("Waiting for a worker since %(at)s.") % {"at": at}
        return f"{reason} {since}" if reason else since
    if delivery.cause == Cause.UNDO_WINDOW:
        return _("Waiting: undo window until %(at)s.") % {"at": at}
    if delivery.cause == Cause.SCHEDULE:
        return _("To be sent later: %(at)s.") % {"at": at}
    why = _WAITS_FOR.get(delivery.cause, "%(reason)s.")
    told = why % {"reason": (reason or delivery.cause).rstrip(".")}
    return f"{told} {_('Next try at %(at)s.') % {'at': at}}"


def _at_rest(delivery: Delivery, reason: str) -> str:
    reason = reason.rstrip(".")
    match delivery.state:
        case DeliveryState.SENDING:
            return _("It is being sent now.")
        case DeliveryState.DELIVERED:
            return _("It is in the Inbox.")
        case DeliveryState.SENT:
            return f"{reason}." if reason else _("The recipient's server accepted it.")
        case DeliveryState.UNCERTAIN:
            return _("Nobody can tell whether it arrived: %(reason)s. Decide before it is sent again.") % {
                "reason": reason
            }
        case DeliveryState.EXPIRED:
            return _("We gave up after trying for days. The last obstacle: %(reason)s.") % {
                "reason": reason or _("no worker took it up")
            }
        case _:
            return _for_good(delivery.cause, reason) or str(DeliveryState(delivery.state).label)


def _for_good(cause: str, reason: str) -> str:
    """What ended it, in our words around the server's."""
    if not reason:
        return ""
    match cause:
        case Cause.RECIPIENT_REFUSED:
            return _("The server refused this recipient for good: %(reason)s.") % {"reason": reason}
        case Cause.MESSAGE_REFUSED:
            return _("The server refused the message for good: %(reason)s.") % {"reason": reason}
        case Cause.INFECTED | Cause.SPAM | Cause.POLICY_ATTACHMENT:
            return _("Not sent: %(reason)s.") % {"reason": reason}
        case _:
            return f"{reason}."
