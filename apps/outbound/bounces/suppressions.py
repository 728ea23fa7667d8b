"""Addresses an organisation does not write to: put on the list, asked, taken off it.

The list is asked twice: at submission, so that the sender learns at once, and when a worker takes the delivery up,
because a bounce of one campaign's mail may come while thousands of the next still wait. Either way the delivery is
`suppressed` with since when and why, stands in the error queue, and can be sent again once the suppression is removed.

Why an address is put on it is `policy`'s to say. One row holds per address; what ended stays as history.
"""

import uuid
from collections.abc import Collection
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.errors import AdminsOnly
from apps.accounts.principal import Principal
from apps.events.services import publish
from apps.mailboxes.errors import NotVisible
from apps.mime.address import InvalidAddress, comparable_address, normalise_address
from apps.mime.clean import clean_line
from apps.organisations.erasing import pseudonym_of
from apps.outbound.bounces.policy import DEFAULT_SUPPRESSION_POLICY, SuppressionPolicy
from apps.outbound.causes import Cause
from apps.outbound.clocks import kept
from apps.outbound.errors import SuppressionInvalid
from apps.outbound.models import Delivery, DeliveryState, Suppression, SuppressionReason
from apps.outbound.transitions import Change

MAX_EVIDENCE_CHARS = 1000
EXPIRED = "expiry"

_IN_FORCE = """
SELECT held.id FROM outbound_suppression AS held
JOIN unnest(%(organisations)s::uuid[], %(addresses)s::text[]) AS asked (organisation_id, address)
    ON held.organisation_id = asked.organisation_id AND held.address = asked.address
WHERE held.removed_at IS NULL AND (held.expires_at IS NULL OR held.expires_at > %(now)s)
"""
# The later in this order outweighs the earlier: a wish is more than a failure.
_WEIGHT = (
    SuppressionReason.HARD_BOUNCE,
    SuppressionReason.MANUAL,
    SuppressionReason.UNSUBSCRIBED,
    SuppressionReason.COMPLAINT,
)
# `in_force` among some addresses. In SQL, because every mail asks, and hardly ever for anything.
_AMONG = """
SELECT * FROM outbound_suppression
WHERE organisation_id = %s AND address = ANY(%s) AND removed_at IS NULL
    AND (expires_at IS NULL OR expires_at > %s)
"""


# asking


def suppressed_among(
    organisation_id: uuid.UUID, recipients: Collection[str], now: datetime | None = None
) -> dict[str, Change]:
    """Those of `recipients` (as written) that must not be written to, each with what becomes of its delivery."""
    found = suppressed_in([(organisation_id, recipient) for recipient in recipients], now or timezone.now())
    return {recipient: change for (_organisation_id, recipient), change in found.items()}


def suppressed_in(
    asked: Collection[tuple[uuid.UUID, str]], now: datetime
) -> dict[tuple[uuid.UUID, str], Change]:
    """The same for pairs of an organisation and a recipient, however many organisations: one look for all."""
    if not asked:
        return {}
    # Who was erased (GDPR) and had asked for no more mail still gets none: their row bears a pseudonym.
    names = {one: _names_of(one[0], comparable_address(one[1])) for one in asked}
    looked_up = [(one[0], name) for one, both in names.items() for name in both]
    with connection.cursor() as cursor:
        cursor.execute(
            _IN_FORCE,
            {
                "organisations": [organisation_id for organisation_id, _name in looked_up],
                "addresses": [name for _organisation_id, name in looked_up],
                "now": now,
            },
        )
        ids = [row[0] for row in cursor.fetchall()]
    # There are none nearly always, and this is asked for every mail.
    rows = Suppression.objects.filter(pk__in=ids) if ids else ()
    known = {(row.organisation_id, row.address): row for row in rows}
    return {
        one: suppressed(row)
        for one, (address, pseudonym) in names.items()
        if (row := known.get((one[0], address)) or known.get((one[0], pseudonym))) is not None
    }


def _names_of(organisation_id: uuid.UUID, address: str) -> tuple[str, str]:
    """Under which an address may stand on the list: its own, and what stands for it once it was erased."""
    return address, pseudonym_of(organisation_id, address)


def in_force(organisation_id: uuid.UUID, now: datetime) -> QuerySet[Suppression]:
    """The suppressions of an organisation that hold now."""
    unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    return Suppression.objects.filter(unexpired, organisation_id=organisation_id, removed_at__isnull=True)


def suppressed(row: Suppression) -> Change:
    """What a suppression makes of a delivery."""
    return Change(DeliveryState.SUPPRESSED, Cause.SUPPRESSED, sentence_of(row))


def sentence_of(row: Suppression) -> str:
    """Since when and why an address is not written to, and until when."""
    match row.reason:
        case SuppressionReason.COMPLAINT:
            told = _("Not sent: a mail to this address was reported as spam")
        case SuppressionReason.UNSUBSCRIBED:
            told = _("Not sent: this address asked to get no more mail")
        case SuppressionReason.MANUAL:
            told = _("Not sent: somebody of your team put this address on the list of suppressions")
        case _:
            told = _("Not sent: mail to this address bounced for good")
    evidence = f" ({row.evidence.rstrip('. ')})" if row.evidence else ""
    times = {"since": kept(row.created_at), "until": kept(row.expires_at) if row.expires_at else ""}
    if row.expires_at is None:
        standing = _("Suppressed since %(since)s. Remove the suppression to send anyway.") % times
    else:
        standing = (
            _("Suppressed since %(since)s, until %(until)s. Remove the suppression to send before then.")
            % times
        )
    return f"{told}{evidence}. {standing}"


# putting on the list


@transaction.atomic
def suppress(
    organisation_id: uuid.UUID,
    address: str,
    reason: SuppressionReason,
    *,
    now: datetime,
    evidence: str = "",
    delivery: Delivery | None = None,
    actor: str = "",
    expires_at: datetime | None = None,
    policy: SuppressionPolicy = DEFAULT_SUPPRESSION_POLICY,
) -> Suppression:
    """Write to this address no more. A hard bounce holds as long as the policy says; the others until removed.

    An address that is on the list already keeps the weightier of the two reasons.
    """
    normal = comparable_address(address)
    known = _standing(organisation_id, normal)
    if known is not None and not known.holds(now):
        # It ran out; what comes now is a new one, and the old one history.
        Suppression.objects.filter(pk=known.pk).update(removed_at=known.expires_at, removed_by=EXPIRED)
        known = None
    if known is not None and _WEIGHT.index(SuppressionReason(known.reason)) >= _WEIGHT.index(reason):
        return known
    if known is not None:
        Suppression.objects.filter(pk=known.pk).update(removed_at=now, removed_by="replaced")
    if reason == SuppressionReason.HARD_BOUNCE:
        expires_at = policy.holds_until(now, earlier=_earlier_bounces(organisation_id, normal))
    row = Suppression(
        organisation_id=organisation_id,
        address=normal,
        reason=reason,
        evidence=clean_line(evidence, MAX_EVIDENCE_CHARS),
        delivery=delivery,
        created_at=now,
        created_by=actor,
        expires_at=expires_at,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        # Two reports on one address at the same time: the other was quicker, and the address is on the list.
        return Suppression.objects.get(
            organisation_id=organisation_id, address=normal, removed_at__isnull=True
        )
    publish(
        organisation_id,
        "suppression.added",
        message_id=delivery.message_id if delivery else None,
        delivery_id=delivery.pk if delivery else None,
        actor=actor,
        suppression=str(row.pk),
        reason=reason,
    )
    return row


def _standing(organisation_id: uuid.UUID, normal: str) -> Suppression | None:
    """The address's row that nobody ended, locked; from before it was erased, too."""
    rows = Suppression.objects.select_for_update().filter(
        organisation_id=organisation_id,
        address__in=_names_of(organisation_id, normal),
        removed_at__isnull=True,
    )
    return rows.first()


def _earlier_bounces(organisation_id: uuid.UUID, normal: str) -> int:
    return Suppression.objects.filter(
        organisation_id=organisation_id,
        address__in=_names_of(organisation_id, normal),
        reason=SuppressionReason.HARD_BOUNCE,
    ).count()


# what people do


def suppressions_for(principal: Principal, *, query: str = "", reason: str = "") -> QuerySet[Suppression]:
    """The organisation's list, newest first, as far as it stands. Everybody who sends may see what is not sent."""
    rows = Suppression.objects.filter(organisation_id=principal.organisation_id, removed_at__isnull=True)
    if query:
        rows = rows.filter(address__icontains=query.strip().lower())
    if reason:
        rows = rows.filter(reason=reason)
    return rows.order_by("-created_at", "-id")


def suppression_for(principal: Principal, suppression_id: uuid.UUID | str) -> Suppression:
    """One that stands. Raises NotVisible."""
    try:
        return suppressions_for(principal).get(pk=suppression_id)
    except (Suppression.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(suppression_id)) from error


def may_change_suppressions(principal: Principal) -> bool:
    """Admins, and keys with their role: to send to who complained is the organisation's decision."""
    return principal.is_admin


def add_suppression(
    principal: Principal,
    address: str,
    *,
    reason: SuppressionReason = SuppressionReason.MANUAL,
    evidence: str = "",
    expires_at: datetime | None = None,
    now: datetime,
) -> Suppression:
    """Put an address on the list by hand. Raises SuppressionInvalid naming the field, AdminsOnly."""
    _demand_admin(principal)
    try:
        normal = normalise_address(address.strip())
    except InvalidAddress as error:
        raise SuppressionInvalid("address", _("This is no address: %(why)s.") % {"why": error}) from error
    if expires_at is not None and expires_at <= now:
        raise SuppressionInvalid("expires_at", _("This time has passed."))
    return suppress(
        principal.organisation_id,
        normal,
        reason,
        now=now,
        evidence=evidence,
        actor=principal.actor,
        expires_at=expires_at,
    )


@transaction.atomic
def remove_suppression(principal: Principal, suppression: Suppression, *, now: datetime) -> None:
    """Take an address off the list; what was suppressed can be sent again. Doing it twice changes nothing. Raises
    AdminsOnly."""
    _demand_admin(principal)
    standing = Suppression.objects.filter(
        pk=suppression.pk, organisation_id=principal.organisation_id, removed_at__isnull=True
    )
    if standing.update(removed_at=now, removed_by=principal.actor):
        publish(
            suppression.organisation_id,
            "suppression.removed",
            actor=principal.actor,
            suppression=str(suppression.pk),
            reason=suppression.reason,
        )


def unsuppress(principal: Principal, address: str, *, now: datetime) -> None:
    """Take an address off the list, if it is on it. Raises AdminsOnly."""
    _demand_admin(principal)
    names = _names_of(principal.organisation_id, comparable_address(address))
    for row in suppressions_for(principal).filter(address__in=names):
        remove_suppression(principal, row, now=now)


def _demand_admin(principal: Principal) -> None:
    if not may_change_suppressions(principal):
        msg = _("Only an admin may change the list of suppressions.")
        raise AdminsOnly(msg)
