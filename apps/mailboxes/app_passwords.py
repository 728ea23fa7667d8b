"""App passwords: made, listed, taken back, and recognised when a mail program says one.

    make       by a member of the mailbox for themselves; by the organisation's admin key, for the mailbox itself. The
               password is returned once and cannot be shown again
    list       one's own; an admin sees all of the organisation's
    revoke     by whoever may see it; at once, also for a program that is signed in
    recognise  the digest is looked up, so that timing tells nothing about the password

Whose it is must be active and still see the mailbox, or it opens nothing.
"""

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.events.services import publish
from apps.mailboxes.errors import AppPasswordInvalid, NotVisible
from apps.mailboxes.models import AppPassword, Mailbox
from apps.mailboxes.selectors import mailbox_for, may_see
from apps.mime.clean import clean_line

# 32 characters that nobody mistakes for another: five groups of four are 100 bits.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
GROUPS, GROUP_CHARS = 5, 4
MAX_NAME_CHARS = 100
MAX_OF_A_MAILBOX = 100
LAST_USED_RESOLUTION = timedelta(minutes=1)


def create_app_password(
    principal: Principal, mailbox: Mailbox, *, name: str, now: datetime
) -> tuple[AppPassword, str]:
    """A new password and its words, which only the caller ever sees. Raises AppPasswordInvalid, NotVisible."""
    mailbox_for(principal, mailbox.pk)
    line = clean_line(name, MAX_NAME_CHARS + 1)
    if not line:
        raise AppPasswordInvalid("name", "Name the program or device, so that you know it again.")
    if len(line) > MAX_NAME_CHARS:
        raise AppPasswordInvalid("name", f"At most {MAX_NAME_CHARS} characters.")
    if AppPassword.objects.filter(mailbox=mailbox, revoked_at__isnull=True).count() >= MAX_OF_A_MAILBOX:
        raise AppPasswordInvalid("mailbox", f"A mailbox has at most {MAX_OF_A_MAILBOX} app passwords.")
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(GROUP_CHARS)) for _ in range(GROUPS))
    words = "-".join(groups)
    with transaction.atomic():
        password = AppPassword.objects.create(
            organisation_id=mailbox.organisation_id,
            mailbox=mailbox,
            user=principal.user,
            name=line,
            digest=_digest_of(words),
            created_at=now,
        )
        _tell(principal, password, "app_password.created")
    return password, words


def app_passwords_for(principal: Principal) -> QuerySet[AppPassword]:
    """Those in force that the caller may see, newest first, with whose they are."""
    passwords = _in_force().filter(organisation_id=principal.organisation_id)
    if not principal.is_admin:
        passwords = passwords.filter(user=principal.user, user__isnull=False)
    return passwords.order_by("-created_at", "-id")


def app_password_for(principal: Principal, password_id: uuid.UUID | str) -> AppPassword:
    """One of them. Raises NotVisible."""
    try:
        return app_passwords_for(principal).get(pk=password_id)
    except (AppPassword.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(password_id)) from error


@transaction.atomic
def revoke_app_password(principal: Principal, password: AppPassword, now: datetime) -> None:
    """Take it back, at once and for good. Raises NotVisible, also when somebody has meanwhile."""
    if not app_passwords_for(principal).filter(pk=password.pk).update(revoked_at=now):
        raise NotVisible(str(password.pk))
    _tell(principal, password, "app_password.revoked")


def principal_of_app_password(words: str, network_address: str, now: datetime) -> Principal | None:
    """Who says this password, or None for a wrong one, a revoked one, and one whose person has no part in it any more.
    Its use is noted."""
    found = _in_force().filter(digest=_digest_of(words)).first()
    principal = _principal(found)
    if principal is not None and found is not None:
        _note_use(found, network_address, now)
    return principal


def renewed(principal: Principal) -> Principal | None:
    """An app password's caller as of now; None when it opens nothing any more."""
    if principal.app_password_id is None:
        return None
    return _principal(_in_force().filter(pk=principal.app_password_id).first())


def _in_force() -> QuerySet[AppPassword]:
    return AppPassword.objects.filter(revoked_at__isnull=True).select_related("mailbox", "user")


def _principal(found: AppPassword | None) -> Principal | None:
    if found is None or (found.user is not None and not found.user.is_active):
        return None
    principal = Principal.of_app_password(found.organisation_id, found.pk, found.mailbox_id, found.user)
    return principal if may_see(principal, found.mailbox) else None


def _note_use(password: AppPassword, network_address: str, now: datetime) -> None:
    used = password.last_used_at
    is_fresh = used is not None and now - used < LAST_USED_RESOLUTION
    if not is_fresh or password.last_used_from != (network_address or None):
        AppPassword.objects.filter(pk=password.pk).update(
            last_used_at=now, last_used_from=network_address or None
        )


def _digest_of(words: str) -> bytes:
    # As people type it: in capitals, with blanks for the hyphens or with nothing.
    typed = words.replace("-", "").replace(" ", "").lower()
    return hashlib.sha256(typed.encode("utf-8", "surrogatepass")).digest()


def _tell(principal: Principal, password: AppPassword, kind: str) -> None:
    publish(
        password.organisation_id,
        kind,
        actor=principal.actor,
        app_password=str(password.pk),
        mailbox=str(password.mailbox_id),
    )
