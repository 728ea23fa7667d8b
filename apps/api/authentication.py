"""Who calls: `Authorization: Bearer KEY` (RFC 6750 §2.1), and nothing else.

Browser sessions are not accepted here: a page on another site could use them, and a key cannot be sent by accident.
`request.auth` is the `Principal` every room below asks for; `request.user` only says that there is a caller.
"""

from dataclasses import dataclass

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.accounts.principal import Principal
from apps.accounts.selectors import principal_of_secret

REALM = 'Bearer realm="api"'


@dataclass(frozen=True, slots=True)
class Caller:
    """What DRF asks of a user, for a program that has none."""

    principal: Principal
    is_authenticated: bool = True
    is_active: bool = True

    @property
    def pk(self) -> str:
        return self.principal.actor


class KeyAuthentication(BaseAuthentication):
    """Finds the caller behind a key. A request without the header is left to the permission, which answers 401."""

    def authenticate(self, request: Request) -> tuple[Caller, Principal] | None:
        scheme, _space, secret = get_authorization_header(request).partition(b" ")
        if not scheme:
            return None
        if scheme.lower() != b"bearer":
            msg = "Send the API key as `Authorization: Bearer KEY`."
            raise AuthenticationFailed(msg)
        principal = principal_of_secret(secret.strip().decode("latin-1"), timezone.now())
        if principal is None:
            msg = "This API key is unknown or was revoked."
            raise AuthenticationFailed(msg)
        return Caller(principal), principal

    def authenticate_header(self, request: Request) -> str:
        return REALM
