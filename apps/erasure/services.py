"""Asking that a customer's data be erased. Admins alone; `walk` does the work."""

import uuid
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.accounts.errors import AdminsOnly
from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.erasure.errors import ErasureInvalid
from apps.erasure.models import Erasure, ErasureState
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import OwnedAddress
from apps.mime.address import InvalidAddress, normalise_address
from apps.organisations.erasing import digest_of
from apps.organisations.models import Organisation, new_id
from apps.organisations.sealing import seal

OPERATOR = "operator"


def erasures_for(principal: Principal) -> QuerySet[Erasure]:
    """The organisation's erasures, newest first. Raises AdminsOnly."""
    _demand_admin(principal)
    return Erasure.objects.filter(organisation_id=principal.organisation_id).order_by("-requested_at", "-id")


def erasure_for(principal: Principal, erasure_id: uuid.UUID | str) -> Erasure:
    """One of them. Raises AdminsOnly, NotVisible."""
    try:
        return erasures_for(principal).get(pk=erasure_id)
    except (Erasure.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(erasure_id)) from error


def request_erasure(principal: Principal, address: str, *, confirmation: str, now: datetime) -> Erasure:
    """Have everything of a customer erased, by their address, typed twice. One that is under way is answered again.

    Raises AdminsOnly, and ErasureInvalid naming the field.
    """
    _demand_admin(principal)
    normal = _normal("address", address)
    if _normal("confirmation", confirmation) != normal:
        raise ErasureInvalid("confirmation", _("The two are not the same address. Nothing was erased."))
    name = principal.user.name if principal.user else principal.api_key.name if principal.api_key else ""
    return _begin(principal.organisation_id, normal, actor=principal.actor, name=name, now=now)


def erase_as_operator(organisation: Organisation, address: str, *, now: datetime) -> Erasure:
    """The same on the operator's word, from the command line. Raises ErasureInvalid."""
    return _begin(organisation.pk, _normal("address", address), actor=OPERATOR, name=OPERATOR, now=now)


def _begin(organisation_id: uuid.UUID, address: str, *, actor: str, name: str, now: datetime) -> Erasure:
    # This organisation's alone: whether another one here has the address is none of its business.
    is_mailboxes = OwnedAddress.objects.filter(organisation_id=organisation_id, address=address).exists()
    if is_mailboxes or User.objects.filter(organisation_id=organisation_id, email=address).exists():
        raise ErasureInvalid("address", _("This is an address of your own house, not a customer's."))
    digest = digest_of(organisation_id, address)
    row = Erasure(
        pk=new_id(),
        organisation_id=organisation_id,
        address_digest=digest,
        requested_by=actor,
        requested_by_name=name,
        requested_at=now,
    )
    row.sealed_address = seal(address.encode(), row.seal_purpose)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        return Erasure.objects.get(
            organisation_id=organisation_id, address_digest=digest, state=ErasureState.RUNNING
        )
    return row


def _normal(field: str, address: str) -> str:
    try:
        return normalise_address(address.strip())
    except InvalidAddress as error:
        raise ErasureInvalid(field, _("This is no address: %(why)s.") % {"why": error}) from error


def _demand_admin(principal: Principal) -> None:
    if not principal.is_admin:
        raise AdminsOnly(_("Only an admin may see or ask for erasures."))
