"""Which of our deliveries a report is about, and how we know.

    signature    the report came to a delivery's signed return path, or quotes it: nobody else could have made that up
    message id   it quotes the Message-ID of a mail of ours, and names one of its recipients

The signature names one delivery, whatever address the report names: mail is forwarded, and the last server on the way
is the one that complains. By Message-ID the recipient must be one we wrote to; where the mail had a single one, the
report is about that one.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.db.models import QuerySet

from apps.mailboxes.models import Direction, Message, digest_of_message_id
from apps.mime.address import comparable_address
from apps.outbound.bounces.report import Report, Told
from apps.outbound.bounces.return_path import ReturnPaths
from apps.outbound.models import Delivery, ReportAction, ReportProof, Route

# Of several things told of one recipient, the first of these is what matters.
_ORDER = (
    ReportAction.COMPLAINED,
    ReportAction.UNSUBSCRIBED,
    ReportAction.FAILED,
    ReportAction.DELAYED,
    ReportAction.DELIVERED,
    ReportAction.RELAYED,
    ReportAction.EXPANDED,
    ReportAction.NOTED,
)
_ARRIVED = frozenset({ReportAction.DELIVERED, ReportAction.RELAYED, ReportAction.EXPANDED})


@dataclass(frozen=True, slots=True)
class Match:
    """One delivery, what the report tells of it, and the proof that it does."""

    delivery: Delivery
    told: Told
    proof: ReportProof


def signed_deliveries(addresses: Iterable[str], paths: ReturnPaths) -> list[uuid.UUID]:
    """The deliveries whose return paths are among `addresses`, each once."""
    found = (paths.delivery_of(address) for address in addresses)
    return list(dict.fromkeys(one for one in found if one is not None))


def match(
    organisation_id: uuid.UUID, report: Report, recipients: Sequence[str], paths: ReturnPaths
) -> list[Match]:
    """The organisation's deliveries that a report is about, locked in the caller's transaction; [] for none."""
    signed = signed_deliveries([*recipients, *report.returned.return_paths], paths)
    if signed:
        deliveries = _locked(organisation_id).filter(pk__in=signed)
        if found := [_matched(one, report.told, ReportProof.SIGNATURE) for one in deliveries]:
            return found
    return list(_by_message_id(organisation_id, report))


def _by_message_id(organisation_id: uuid.UUID, report: Report) -> Iterable[Match]:
    message_id = report.returned.message_id
    if not message_id:
        return
    message = Message.objects.filter(
        organisation_id=organisation_id,
        rfc_message_id_digest=digest_of_message_id(message_id),
        rfc_message_id=message_id,
        direction=Direction.OUT,
    ).first()
    if message is None:
        return
    deliveries = list(_locked(organisation_id).filter(message=message, route=Route.RELAY))
    for delivery in deliveries:
        told = [one for one in report.told if _names(one, delivery)]
        if not told and len(deliveries) == 1:
            told = list(report.told)
        if told:
            yield _matched(delivery, told, ReportProof.MESSAGE_ID)


def _locked(organisation_id: uuid.UUID) -> QuerySet[Delivery]:
    return (
        Delivery.objects.select_related("message")
        .select_for_update(of=("self",))
        .filter(organisation_id=organisation_id)
        .order_by("pk")
    )


def _matched(delivery: Delivery, told: Sequence[Told], proof: ReportProof) -> Match:
    mine = [one for one in told if _names(one, delivery)] or list(told)
    return Match(delivery, _decisive(mine), proof)


def _decisive(told: Sequence[Told]) -> Told:
    first = min(told, key=lambda one: _ORDER.index(one.action))
    if first.action == ReportAction.FAILED and any(one.action in _ARRIVED for one in told):
        # An address that stands for several people: some have it. That is no failure of the recipient we wrote to.
        return replace(first, action=ReportAction.NOTED)
    return first


def _names(told: Told, delivery: Delivery) -> bool:
    ours = comparable_address(delivery.recipient)
    return any(comparable_address(address) == ours for address in told.addresses)
