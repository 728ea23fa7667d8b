"""What a report changes: the delivery it is about, and perhaps whether we go on writing to the address.

    failed                  sent, uncertain → bounced, with the server's words; a hard one suppresses the address
    delayed                 noted: the other side still tries. The state stays
    delivered, relayed …    noted
    complained              noted; the address is suppressed, and the sender is told
    anything at all         about an `uncertain` delivery proves that it was accepted: → sent

A delivery in any other state keeps it: a person may have decided meanwhile, or be sending it again. Each report is a
row with its evidence and an event, whatever it changes; one that was held and comes again only gets its mail.
"""

import uuid
from datetime import datetime

from django.utils.translation import gettext as _

from apps.events.services import publish
from apps.mailboxes.models import Message
from apps.outbound import transitions
from apps.outbound.bounces import notices
from apps.outbound.bounces.matching import Match
from apps.outbound.bounces.policy import (
    DEFAULT_SUPPRESSION_POLICY,
    Nature,
    SuppressionPolicy,
    is_final,
    nature_of,
)
from apps.outbound.bounces.suppressions import suppress
from apps.outbound.bounces.words import bounced_because, said
from apps.outbound.causes import Cause
from apps.outbound.models import (
    DeliveryReport,
    DeliveryState,
    ReportAction,
    ReportProof,
    SuppressionReason,
)
from apps.outbound.transitions import Change

MAX_STATUS_CHARS = 16

_LASTING_WISH = {
    ReportAction.COMPLAINED: SuppressionReason.COMPLAINT,
    ReportAction.UNSUBSCRIBED: SuppressionReason.UNSUBSCRIBED,
}


def apply(
    match: Match,
    message: Message | None,
    now: datetime,
    policy: SuppressionPolicy = DEFAULT_SUPPRESSION_POLICY,
    *,
    received_id: uuid.UUID,
) -> None:
    """Write one report down and do what follows from it, in the caller's transaction. `message` is its mail, None while
    that is held; `received_id` the same for both."""
    told, delivery = match.told, match.delivery
    if DeliveryReport.objects.filter(delivery=delivery, received_id=received_id).update(message=message):
        return
    nature = nature_of(told.status, told.diagnostic) if is_final(told) else None
    report = DeliveryReport.objects.create(
        organisation_id=delivery.organisation_id,
        message=message,
        received_id=received_id,
        delivery=delivery,
        action=told.action,
        proof=match.proof,
        nature=nature or "",
        recipient=told.recipient or told.original,
        status=told.status[:MAX_STATUS_CHARS],
        diagnostic=told.diagnostic,
        server=told.server,
        reported_at=now,
    )
    publish(
        delivery.organisation_id,
        f"delivery.reported_{told.action}",
        message_id=delivery.message_id,
        delivery_id=delivery.pk,
        report=str(message.pk) if message is not None else None,
        nature=report.nature,
        proof=match.proof,
    )
    if nature is not None:
        _bounce(match, report, nature, now, policy)
    elif told.action in _LASTING_WISH:
        _heed(match, report, now, policy)
    if nature is None and told.action != ReportAction.NOTED:
        reason = _("A report shows that it was accepted: %(said)s") % {"said": said(told)}
        transitions.confirm(delivery.pk, reason, now)


def _bounce(
    match: Match, report: DeliveryReport, nature: Nature, now: datetime, policy: SuppressionPolicy
) -> None:
    reason = bounced_because(nature, match.told)
    transitions.bounce(match.delivery.pk, Change(DeliveryState.BOUNCED, Cause.BOUNCED, reason), now)
    if match.proof == ReportProof.SIGNATURE and _is_enough(report, nature, now, policy):
        suppress(
            match.delivery.organisation_id,
            match.delivery.recipient,
            SuppressionReason.HARD_BOUNCE,
            now=now,
            evidence=said(match.told),
            delivery=match.delivery,
            policy=policy,
        )


def _is_enough(report: DeliveryReport, nature: Nature, now: datetime, policy: SuppressionPolicy) -> bool:
    needed = policy.bounces_needed(nature)
    if needed is None or needed == 1:
        return needed == 1
    # This one is among them.
    alike = DeliveryReport.objects.filter(
        organisation_id=report.organisation_id,
        delivery__recipient__iexact=report.delivery.recipient,
        proof=ReportProof.SIGNATURE,
        nature=nature,
        reported_at__gt=now - policy.within,
    )
    return alike.values("delivery").distinct().count() >= needed


def _heed(match: Match, report: DeliveryReport, now: datetime, policy: SuppressionPolicy) -> None:
    """The recipient wishes to be left alone."""
    notices.tell_of_complaint(match.delivery, said(match.told), now)
    if match.proof == ReportProof.SIGNATURE:
        suppress(
            match.delivery.organisation_id,
            match.delivery.recipient,
            _LASTING_WISH[match.told.action],
            now=now,
            evidence=said(match.told),
            delivery=match.delivery,
            policy=policy,
        )
