"""Making keys. The secret is returned once and cannot be shown again."""

from apps.accounts.models import ApiKey, Role, User
from apps.organisations.models import Organisation


def create_api_key(
    organisation: Organisation, *, name: str, role: Role, user: User | None = None
) -> tuple[ApiKey, str]:
    """A new key and its secret, which only the caller ever sees."""
    secret = ApiKey.generate_secret()
    key = ApiKey.objects.create(
        organisation=organisation,
        name=name,
        role=role,
        user=user,
        hint=secret[:8],
        digest=ApiKey.digest_of(secret),
    )
    return key, secret
