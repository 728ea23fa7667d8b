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
    if key is None or (key.user is not None and not key.user.is_active):
        return None
    if not key.used_recently(now):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return Principal.of_key(key)
