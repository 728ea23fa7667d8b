"""What people do with limits: make, change and remove them.

An admin bounds the organisation's own mail. Limits that count everybody's mail have no organisation and are the
operator's (`manage.py limit`); admins see them, because they too are why mail waits.

A changed row is newer than the limiter's counts, which are rebuilt before it grants the next message; a new limit so
counts what went before it. Workers know within seconds, without a restart.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime

from django.db import IntegrityError, transaction

from apps.accounts.errors import AdminsOnly, ReadOnly
from apps.accounts.principal import Principal
from apps.mime.address import InvalidAddress, normalise_address
from apps.outbound.errors import LimitInvalid
from apps.outbound.models import EACH, LimitScope, Relay, SendingLimit

BOUNDS = (
    "connections",
    "per_second",
    "per_minute",
    "per_hour",
    "per_day",
    "gap_ms",
    "recipients_per_transaction",
    "max_size_bytes",
)
# Beyond PostgreSQL's integer, or a day: nobody means it.
MOST = {"gap_ms": 86_400_000, "max_size_bytes": 2**40}
MOST_OF_OTHERS = 1_000_000_000
Bounding = Mapping[str, int | None]


def make_limit(
    principal: Principal, *, scope: LimitScope, subject: str, bounds: Bounding, now: datetime
) -> SendingLimit:
    """A limit on the organisation's own mail. Raises LimitInvalid, AdminsOnly."""
    _demand_admin(principal)
    row = SendingLimit(
        organisation_id=principal.organisation_id,
        scope=scope,
        subject=_subject(principal, scope, subject),
        created_at=now,
    )
    return _keep(row, bounds, now)


def change_limit(principal: Principal, row: SendingLimit, bounds: Bounding, now: datetime) -> SendingLimit:
    """Change the bounds that are named; None takes one away. Raises LimitInvalid, ReadOnly, AdminsOnly."""
    _demand_own(principal, row)
    return _keep(row, bounds, now)


def remove_limit(principal: Principal, row: SendingLimit) -> None:
    """Bound nothing by it any more. Raises ReadOnly, AdminsOnly."""
    _demand_own(principal, row)
    row.delete()


def set_shared_limit(scope: LimitScope, subject: str, bounds: Bounding, now: datetime) -> SendingLimit:
    """The operator's: a limit that counts everybody's mail together, made or changed. Raises LimitInvalid."""
    with transaction.atomic():
        row = SendingLimit.objects.select_for_update().filter(
            organisation=None, scope=scope, subject=subject
        ).first() or SendingLimit(scope=scope, subject=subject, created_at=now)
        return _keep(row, bounds, now)


def _keep(row: SendingLimit, bounds: Bounding, now: datetime) -> SendingLimit:
    for name, value in bounds.items():
        most = MOST.get(name, MOST_OF_OTHERS)
        if value is not None and not 1 <= value <= most:
            raise LimitInvalid(name, f"A whole number from 1 to {most:,}, or null for no bound.")
        setattr(row, name, value)
    if all(getattr(row, name) is None for name in BOUNDS):
        raise LimitInvalid("per_minute", "A limit bounds something: give one of " + ", ".join(BOUNDS) + ".")
    row.updated_at = now
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise LimitInvalid("subject", "There is a limit for this already; change that one.") from error
    return row


def _subject(principal: Principal, scope: LimitScope, subject: str) -> str:
    """What is bounded, in the form in which it is counted."""
    if scope == LimitScope.ORGANISATION:
        if subject not in {EACH, str(principal.organisation_id)}:
            raise LimitInvalid(
                "subject", "Your own organisation is the only one you can bound: leave it out."
            )
        return str(principal.organisation_id)
    if subject == EACH:
        return EACH
    match scope:
        case LimitScope.RELAY:
            return _relay(subject)
        case LimitScope.SENDER:
            return _address(subject)
        case _:
            return _address(f"postmaster@{subject}").rpartition("@")[2]


def _relay(subject: str) -> str:
    try:
        wanted = uuid.UUID(subject)
    except ValueError:
        wanted = None
    if wanted is None or not Relay.objects.filter(pk=wanted).exists():
        raise LimitInvalid("subject", 'The id of a relay, or "*" for each.')
    return str(wanted)


def _address(subject: str) -> str:
    try:
        return normalise_address(subject)
    except InvalidAddress as error:
        raise LimitInvalid("subject", f"{error}.") from error


def _demand_admin(principal: Principal) -> None:
    if not principal.is_admin:
        msg = "Only admins change limits."
        raise AdminsOnly(msg)


def _demand_own(principal: Principal, row: SendingLimit) -> None:
    _demand_admin(principal)
    if row.organisation_id != principal.organisation_id:
        msg = "This limit holds for everybody; only the operator changes it (manage.py limit)."
        raise ReadOnly(msg)
