"""What admins do with their organisation's relays: add, change, pause, resume, remove.

A password goes in sealed and never comes out: not to a person, and not to another server than the one it was given for,
or over a weaker line. Whoever changes where it would go types it in again.

Each takes effect with every worker's next batch of claims; conversations that are going on end as they began.
"""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.accounts.errors import AdminsOnly, ReadOnly
from apps.accounts.principal import Principal
from apps.events.services import publish
from apps.organisations.sealing import seal
from apps.outbound import transitions
from apps.outbound.errors import RelayInvalid
from apps.outbound.models import CertificatePolicy, Lane, Relay, RelaySecurity
from apps.outbound.relays.wishes import RelayWishes, checked
from apps.outbound.wakeups import wake_on_commit

MAX_RELAYS = 200

_CHECKED_LINES = {RelaySecurity.STARTTLS, RelaySecurity.TLS}


def add_relay(principal: Principal, wishes: RelayWishes, now: datetime) -> Relay:
    """A new relay, in use at once. Raises RelayInvalid, AdminsOnly."""
    _demand_admin(principal)
    own = Relay.objects.filter(organisation=principal.organisation_id, removed_at__isnull=True)
    if own.count() >= MAX_RELAYS:
        raise RelayInvalid("name", _("At most %(n)d relays.") % {"n": MAX_RELAYS})
    relay = Relay(organisation_id=principal.organisation_id, created_at=now)
    _apply(relay, checked(wishes))
    return _keep(principal, relay, "relay.added", now)


def change_relay(principal: Principal, relay: Relay, wishes: RelayWishes, now: datetime) -> Relay:
    """Change what is named. Raises RelayInvalid, ReadOnly, AdminsOnly."""
    _demand_own(principal, relay)
    columns = checked(wishes)
    _guard_password(relay, columns)
    _apply(relay, columns)
    return _keep(principal, relay, "relay.changed", now)


def pause_relay(principal: Principal, relay: Relay, now: datetime) -> Relay:
    """Ask it no more; its mail goes over others, or waits. Raises ReadOnly, AdminsOnly."""
    _demand_own(principal, relay)
    relay.is_active = False
    return _keep(principal, relay, "relay.paused", now)


def resume_relay(principal: Principal, relay: Relay, now: datetime) -> Relay:
    """Ask it again, and first for what waits for want of a relay. Raises ReadOnly, AdminsOnly."""
    _demand_own(principal, relay)
    relay.is_active = True
    return _keep(principal, relay, "relay.resumed", now)


def remove_relay(principal: Principal, relay: Relay, now: datetime) -> None:
    """Out of use for good, its password forgotten. The row stays: attempts went over it, and what is pinned to it must
    not silently go another way. Raises ReadOnly, AdminsOnly.
    """
    _demand_own(principal, relay)
    relay.is_active = False
    relay.removed_at = now
    relay.sealed_secret = ""
    _keep(principal, relay, "relay.removed", now)


def _demand_admin(principal: Principal) -> None:
    if not principal.is_admin:
        raise AdminsOnly(_("Only admins change relays."))


def _demand_own(principal: Principal, relay: Relay) -> None:
    _demand_admin(principal)
    if relay.organisation_id != principal.organisation_id:
        raise ReadOnly(_("This relay comes from RELAY_URL; it is changed there."))


def _apply(relay: Relay, columns: dict[str, Any]) -> None:
    password = columns.pop("password", None)
    for column, value in columns.items():
        setattr(relay, column, value)
    if password is not None:
        relay.sealed_secret = seal(password.encode(), relay.seal_purpose) if password else ""
    if not relay.name:
        raise RelayInvalid("name", _("Give it a name."))
    if relay.is_direct:
        _check_direct(relay)
    else:
        _check_smarthost(relay)


def _check_direct(relay: Relay) -> None:
    for field, value in (
        ("host", relay.host),
        ("username", relay.username),
        ("password", relay.sealed_secret),
    ):
        if value:
            raise RelayInvalid(
                field, _("A direct relay asks each recipient's own server, and signs in at none.")
            )
    if relay.security == RelaySecurity.TLS:
        raise RelayInvalid("security", _("Recipients' servers know STARTTLS only (RFC 8314 §3)."))


def _check_smarthost(relay: Relay) -> None:
    if not relay.host:
        raise RelayInvalid("host", _("Where is it? A host name or an IP address."))
    if relay.has_secret and not relay.username:
        raise RelayInvalid("username", _("A password needs a user name."))
    if relay.username and not relay.has_secret:
        raise RelayInvalid("password", _("A user name needs a password."))
    if relay.username and relay.security == RelaySecurity.OPPORTUNISTIC:
        # Whoever stands in the middle hides the offer of TLS and reads the password.
        raise RelayInvalid(
            "security",
            _("With a password choose STARTTLS required, implicit TLS, or none on a line you trust."),
        )


def _guard_password(relay: Relay, columns: dict[str, Any]) -> None:
    """Refuse to send a password that was given for one server to another one, or over a weaker line."""
    if not relay.has_secret or "password" in columns:
        return
    wanted = {field: columns.get(field, getattr(relay, field)) for field in ("host", "port", "username")}
    elsewhere = any(getattr(relay, field) != value for field, value in wanted.items())
    weaker = (
        relay.security in _CHECKED_LINES and columns.get("security", relay.security) not in _CHECKED_LINES
    ) or (
        relay.certificates != CertificatePolicy.IGNORED
        and columns.get("certificates") == CertificatePolicy.IGNORED
    )
    if elsewhere or weaker:
        raise RelayInvalid(
            "password", _("Type the password in again: it was given for another server or a safer line.")
        )


def _keep(principal: Principal, relay: Relay, event: str, now: datetime) -> Relay:
    relay.updated_at = now
    try:
        with transaction.atomic():
            relay.save()
            publish(principal.organisation_id, event, actor=principal.actor, relay_id=str(relay.pk))
            if relay.is_active:
                transitions.look_for_relay_again(principal.organisation_id, now)
                for lane in Lane:
                    wake_on_commit(lane)
    except IntegrityError as error:
        if "relay_name_once" not in str(error):
            raise
        raise RelayInvalid("name", _("Another relay has this name.")) from error
    return relay
