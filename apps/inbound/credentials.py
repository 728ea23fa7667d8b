"""Who has said these credentials: a program with an API key, or a mail program with an app password.

The name must be `apikey`, or an address that may be sent from with the secret. The secret alone decides who it is, by
the digest of it, so that timing tells nothing about secrets; a wrong name and a wrong secret are answered alike.

Failures are counted (`accounts.guesses`). Whoever has got in with a secret is let in with it again, whatever others try
under the same name: a shared mailbox has as many passwords as people. Under the name `apikey` many programs sign in
from one place, and one that was left with an old key must not bar the others: there the account is the key itself.
"""

import hashlib
from datetime import datetime

from apps.accounts.guesses import Guess
from apps.accounts.principal import Principal
from apps.accounts.selectors import principal_of_secret
from apps.accounts.selectors import renewed as renewed_key
from apps.inbound.sasl import Credentials
from apps.mailboxes.addresses import sendable_address
from apps.mailboxes.app_passwords import principal_of_app_password
from apps.mailboxes.app_passwords import renewed as renewed_app_password
from apps.mime.address import InvalidAddress, normalise_address

KEY_NAME = "apikey"
DOOR = "submission"


class Barred(Exception):
    """Too many failures; the next try waits, whatever its secret is."""


def sign_in(
    credentials: Credentials, *, network_address: str, counts_address: bool, now: datetime
) -> Principal | None:
    """Who it is, or None. Raises Barred. `counts_address`: many failures bar the address as well."""
    counted = network_address if counts_address else ""
    guess = Guess(DOOR, _account(credentials), counted, credentials.secret)
    if guess.is_barred:
        raise Barred
    principal = _principal(credentials, network_address, now)
    if principal is None:
        guess.failed()
    else:
        guess.succeeded()
    return principal


def renewed(principal: Principal) -> Principal | None:
    """The same caller as of now, or None when the key or password was taken back, or its person left, meanwhile."""
    if principal.api_key is not None:
        return renewed_key(principal)
    return renewed_app_password(principal)


def _principal(credentials: Credentials, network_address: str, now: datetime) -> Principal | None:
    principal = principal_of_secret(credentials.secret, now) or principal_of_app_password(
        credentials.secret, network_address, now
    )
    return principal if principal is not None and _may_be_called(principal, credentials.username) else None


def _may_be_called(principal: Principal, username: str) -> bool:
    if username.lower() == KEY_NAME:
        return True
    try:
        return sendable_address(principal, normalise_address(username)) is not None
    except InvalidAddress:
        return False


def _account(credentials: Credentials) -> str:
    if credentials.username.lower() != KEY_NAME:
        return credentials.username
    secret = credentials.secret.encode("utf-8", "surrogateescape")
    return f"{KEY_NAME}:{hashlib.sha256(secret).hexdigest()}"
