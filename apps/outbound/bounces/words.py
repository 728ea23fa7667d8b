"""Reports in words for a person: the kind of failure in a sentence, then what the server said, as evidence."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.outbound.bounces.policy import Nature
from apps.outbound.bounces.report import Told
from apps.outbound.models import DeliveryReport, ReportAction

_FAILURES = {
    Nature.NO_SUCH_ADDRESS: gettext_lazy("It came back: there is no such address."),
    Nature.NO_SUCH_DOMAIN: gettext_lazy("It came back: there is no such domain, or it takes no mail."),
    Nature.CLOSED: gettext_lazy("It came back: the address was closed."),
    Nature.MAILBOX_FULL: gettext_lazy("It came back: the recipient's mailbox is full."),
    Nature.TOO_LARGE: gettext_lazy("It came back: it is too large for the recipient's server."),
    Nature.BLOCKED: gettext_lazy("It came back: the recipient's server blocked it."),
    Nature.CONTENT: gettext_lazy("It came back: the recipient's server refused its content."),
    Nature.SENDER: gettext_lazy("It came back: the recipient's server does not trust our domain or server."),
    Nature.RATE: gettext_lazy("It came back: the recipient's server got too much mail at once."),
    Nature.LOOP: gettext_lazy("It came back: it went round in a loop."),
    Nature.TIMED_OUT: gettext_lazy("It came back: the next server tried in vain until it gave up."),
    Nature.UNKNOWN: gettext_lazy("It came back: it could not be delivered."),
}


def bounced_because(nature: Nature, told: Told) -> str:
    """Why a delivery bounced, with its evidence."""
    return f"{_FAILURES[nature]} {said(told)}".strip()


def said(told: Told) -> str:
    """The server's words and who said them; "" where a report says nothing at all."""
    words = told.diagnostic or told.status
    if told.status and told.status not in words:
        words = f"{told.status} {words}"
    if not words:
        return ""
    if not told.server:
        return words
    return _("%(server)s said: %(words)s") % {"server": told.server, "words": words}


def told_by(report: DeliveryReport) -> str:
    """What a report says, in a sentence for beside its recipient."""
    told = Told(
        action=ReportAction(report.action),
        recipient=report.recipient,
        status=report.status,
        diagnostic=report.diagnostic,
        server=report.server,
    )
    match told.action:
        case ReportAction.FAILED:
            sentence = _("A server reported that it could not be delivered.")
        case ReportAction.DELAYED:
            sentence = _("A server reported that it is late, and goes on trying.")
        case ReportAction.COMPLAINED:
            return _("The recipient reported it as spam.")
        case ReportAction.UNSUBSCRIBED:
            return _("The recipient asked to get no more.")
        case ReportAction.DELIVERED:
            sentence = _("A server reported that it was delivered.")
        case ReportAction.RELAYED | ReportAction.EXPANDED:
            sentence = _("A server reported that it was passed on.")
        case _:
            sentence = _("A server reported on it.")
    # The failure's words stand in the delivery's own sentence already.
    words = "" if told.action == ReportAction.FAILED else said(told)
    return f"{sentence} {words}".strip()
