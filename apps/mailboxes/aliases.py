"""A mailbox's further addresses: mail to them comes in there, and may be written from them.

An alias is an address that nobody has, in a domain that is proven to be the organisation's. Who sees the mailbox sees
them; admins change them.
"""

import uuid

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.accounts.errors import AdminsOnly
from apps.accounts.principal import Principal
from apps.events.services import publish
from apps.mailboxes.errors import AliasInvalid, NotVisible
from apps.mailboxes.models import Domain, Mailbox, OwnedAddress
from apps.mailboxes.selectors import mailbox_for
from apps.mime.address import InvalidAddress, normalise_address
from apps.mime.clean import clean_line

MAX_OF_A_MAILBOX = 100


def alias_for(principal: Principal, mailbox_id: uuid.UUID | str, alias_id: uuid.UUID | str) -> OwnedAddress:
    """One of them. Raises NotVisible."""
    mailbox = mailbox_for(principal, mailbox_id)
    try:
        return _aliases(mailbox).get(pk=alias_id)
    except (OwnedAddress.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(alias_id)) from error


@transaction.atomic
def add_alias(principal: Principal, mailbox: Mailbox, address: str) -> OwnedAddress:
    """Give a mailbox the caller may see one address more. Raises AliasInvalid, AdminsOnly, NotVisible."""
    _demand_may_change(principal, mailbox)
    normal = _normalised(address)
    # Locked, so that nobody gives the domain up meanwhile.
    proven = Domain.objects.select_for_update().filter(
        organisation_id=mailbox.organisation_id, name=normal.rpartition("@")[2], verified_at__isnull=False
    )
    if not proven.exists():
        raise AliasInvalid("address", _("It must be in a domain that is proven to be yours."))
    if _aliases(mailbox).count() >= MAX_OF_A_MAILBOX:
        raise AliasInvalid(
            "address", _("A mailbox has at most %(most)s aliases.") % {"most": MAX_OF_A_MAILBOX}
        )
    try:
        with transaction.atomic():
            alias = OwnedAddress.objects.create(
                organisation_id=mailbox.organisation_id, address=normal, mailbox=mailbox
            )
    except IntegrityError as error:
        raise AliasInvalid("address", _("A mailbox has this address already.")) from error
    _tell(principal, alias, "mailbox.alias_added")
    return alias


@transaction.atomic
def remove_alias(principal: Principal, alias: OwnedAddress) -> None:
    """Take an address away: mail to it is refused from now on, unless the domain's catch-all takes it. Doing it again
    changes nothing. Raises AdminsOnly, NotVisible.
    """
    _demand_may_change(principal, alias.mailbox)
    if _aliases(alias.mailbox).filter(pk=alias.pk).delete()[0]:
        _tell(principal, alias, "mailbox.alias_removed")


def _aliases(mailbox: Mailbox) -> QuerySet[OwnedAddress]:
    return OwnedAddress.objects.filter(mailbox=mailbox).exclude(address=mailbox.address)


def _demand_may_change(principal: Principal, mailbox: Mailbox) -> None:
    mailbox_for(principal, mailbox.pk)
    if not principal.is_admin:
        raise AdminsOnly(_("Only an admin can change this."))


def _normalised(address: str) -> str:
    try:
        return normalise_address(clean_line(address, 400).strip())
    except InvalidAddress as error:
        raise AliasInvalid("address", _("Write a whole address, such as sales@example.org.")) from error


def _tell(principal: Principal, alias: OwnedAddress, kind: str) -> None:
    publish(
        alias.organisation_id,
        kind,
        actor=principal.actor,
        mailbox=str(alias.mailbox_id),
        alias=str(alias.pk),
    )
