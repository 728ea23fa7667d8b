"""Subscribing browsers, and keeping what people want to be told."""

import base64
import binascii
import zoneinfo
from datetime import datetime, time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from django.utils.translation import gettext as _
from py_vapid import Vapid02

from apps.accounts.principal import Principal
from apps.notifications.errors import NotificationInvalid
from apps.notifications.models import NotificationWish, PushKey, PushSubscription
from apps.organisations.sealing import seal
from apps.webhooks.addresses import Network
from apps.webhooks.errors import WebhookInvalid
from apps.webhooks.target import read_target

MOST_BROWSERS = 10
_KEY = "vapid"


def public_key() -> str:
    """What a browser needs to subscribe (`applicationServerKey`); the pair is made here the first time."""
    key = PushKey.objects.filter(name=_KEY).first()
    if key is None:
        pair = Vapid02()
        pair.generate_keys()
        point = pair.public_key.public_numbers()
        encoded = b"\x04" + point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
        made = {
            "public_key": base64.urlsafe_b64encode(encoded).rstrip(b"=").decode(),
            "sealed_private_key": seal(pair.private_pem(), _KEY),
        }
        # Two who come first together: one pair is kept, and both use that.
        key, _made = PushKey.objects.get_or_create(name=_KEY, defaults=made)
    return key.public_key


def subscribe(
    principal: Principal,
    *,
    session_key: str,
    endpoint: str,
    p256dh: str,
    auth: str,
    allowed: tuple[Network, ...],
    now: datetime,
) -> PushSubscription:
    """Tell this browser from now on. Raises NotificationInvalid. A browser tells one person: who subscribed it last."""
    try:
        read_target(endpoint, allowed)
    except WebhookInvalid as error:
        raise NotificationInvalid("endpoint", error.reason) from error
    if len(endpoint) > 1000 or not _is_point(p256dh) or len(auth) > 32 or len(_decoded(auth)) != 16:
        raise NotificationInvalid("keys", _("This is no subscription of a browser."))
    whose: dict[str, Any] = {"organisation_id": principal.organisation_id, "user": principal.user}
    keys = {"session_key": session_key, "p256dh": p256dh, "auth": auth, "created_at": now}
    kept, _made = PushSubscription.objects.update_or_create(endpoint=endpoint, defaults=whose | keys)
    mine = PushSubscription.objects.filter(user=principal.user).order_by("-created_at")
    PushSubscription.objects.filter(pk__in=list(mine.values_list("pk", flat=True)[MOST_BROWSERS:])).delete()
    return kept


def unsubscribe(principal: Principal, endpoint: str) -> None:
    """Do not tell this browser any more."""
    PushSubscription.objects.filter(user=principal.user, endpoint=endpoint).delete()


def wish_of(principal: Principal) -> NotificationWish:
    """What the person wants to be told, or the defaults."""
    found = NotificationWish.objects.filter(user=principal.user).first()
    return found or NotificationWish(organisation_id=principal.organisation_id, user=principal.user)


def keep_wish(
    principal: Principal,
    *,
    about_mine: bool,
    about_team: bool,
    shows_mail: bool,
    quiet: tuple[str, str],
    timezone: str,
) -> None:
    """Keep what was chosen. `quiet` are two clock times, or two empty texts. Raises NotificationInvalid."""
    begins, ends = (_clock(text) for text in quiet)
    if (begins is None) != (ends is None):
        raise NotificationInvalid("quiet", _("Quiet hours need a beginning and an end."))
    try:
        zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise NotificationInvalid("timezone", _("This time zone is not known.")) from error
    NotificationWish.objects.update_or_create(
        user=principal.user,
        defaults={
            "organisation_id": principal.organisation_id,
            "about_mine": about_mine,
            "about_team": about_team,
            "shows_mail": shows_mail,
            "quiet_from": begins,
            "quiet_until": ends,
            "timezone": timezone,
        },
    )


def _clock(text: str) -> time | None:
    try:
        return time.fromisoformat(text).replace(tzinfo=None) if text else None
    except ValueError as error:
        raise NotificationInvalid("quiet", _("A time is written like 22:00.")) from error


def _decoded(text: str) -> bytes:
    # Strictly, for what other letters mean is decided anew by whoever reads it later.
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _is_point(text: str) -> bool:
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), _decoded(text))
    except ValueError:
        return False
    return len(text) <= 100
