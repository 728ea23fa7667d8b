"""Finding who a secret belongs to."""

from datetime import datetime

from apps.accounts.models import ApiKey
from apps.accounts.principal import Principal


def principal_of_secret(secret: str, now: datetime) -> Principal | None:
    """The caller behind an API key's secret, or None for a wrong, revoked or orphaned one.

    The look-up is by SHA-256 digest, so its timing tells nothing about the secret.
    """
    key = (
        ApiKey.objects.select_related("user")
        .filter(digest=ApiKey.digest_of(secret), revoked_at__isnull=True)
        .first()
    )
    if key is None or (key.user is not None and not key.user.is_active):
        return None
    if not key.used_recently(now):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return Principal.of_key(key)
