"""Finding who a secret belongs to."""

from datetime import datetime

from apps.accounts.models import ApiKey
from apps.accounts.principal import Principal

# Each request asks this; most keys belong to no person.
_BY_DIGEST = "SELECT * FROM accounts_apikey WHERE digest = %s AND revoked_at IS NULL"


def principal_of_secret(secret: str, now: datetime) -> Principal | None:
    """The caller behind an API key's secret, or None for a wrong, revoked or orphaned one.

    The look-up is by SHA-256 digest, so its timing tells nothing about the secret.
    """
    key = next(iter(ApiKey.objects.raw(_BY_DIGEST, [ApiKey.digest_of(secret)])), None)
    principal = _principal(key)
    if principal is not None and key is not None and not key.used_recently(now):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return principal


def renewed(principal: Principal) -> Principal | None:
    """A key's caller as of now; None when it was revoked, or its person left, meanwhile."""
    keys = ApiKey.objects.select_related("user").filter(revoked_at__isnull=True)
    return _principal(keys.filter(pk=principal.api_key.pk).first()) if principal.api_key is not None else None


def _principal(key: ApiKey | None) -> Principal | None:
    if key is None or (key.user is not None and not key.user.is_active):
        return None
    return Principal.of_key(key)
