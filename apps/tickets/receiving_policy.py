"""What an organisation has held of received mail. Everybody of it may see that; admins change it, and the operator."""

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.db import transaction
from django.db.models import TextChoices
from django.utils.translation import gettext as _

from apps.accounts.errors import AdminsOnly
from apps.accounts.principal import Principal
from apps.events.services import publish
from apps.tickets.errors import ReceivingPolicyInvalid
from apps.tickets.models import DmarcWish, ForbiddenFiles, LockedArchives, ReceivingPolicy, SpamWish

WISHES: Mapping[str, type[TextChoices]] = MappingProxyType(
    {
        "forbidden_files": ForbiddenFiles,
        "locked_archives": LockedArchives,
        "spam": SpamWish,
        "dmarc": DmarcWish,
    }
)


def receiving_policy_of(organisation_id: uuid.UUID) -> ReceivingPolicy:
    """The organisation's; unsaved and with the defaults where nothing else was wanted yet."""
    known = ReceivingPolicy.objects.filter(pk=organisation_id).first()
    return known or ReceivingPolicy(organisation_id=organisation_id)


def change_receiving_policy(principal: Principal, wishes: Mapping[str, str]) -> ReceivingPolicy:
    """Change what is named and leave the rest. Raises ReceivingPolicyInvalid naming the field, AdminsOnly."""
    if not principal.is_admin:
        raise AdminsOnly(_("Only an admin can change this."))
    return set_receiving_policy(principal.organisation_id, wishes, actor=principal.actor)


@transaction.atomic
def set_receiving_policy(
    organisation_id: uuid.UUID, wishes: Mapping[str, str], *, actor: str
) -> ReceivingPolicy:
    """The same, for who need not ask. It holds for mail that is judged from now on."""
    for name, value in wishes.items():
        if value not in WISHES[name].values:
            raise ReceivingPolicyInvalid(name, _("There is no such choice."))
    changes: dict[str, Any] = dict(wishes)
    policy, _made = ReceivingPolicy.objects.update_or_create(
        organisation_id=organisation_id, defaults=changes
    )
    publish(organisation_id, "receiving_policy.changed", actor=actor, **changes)
    return policy
