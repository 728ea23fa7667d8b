"""Domains: claimed by an organisation, proven, and given up again.

    add       a claim: nothing may be sent from it yet
    prove     a TXT record with the claim's own token was seen (`outbound.domains`), or an operator says so
    catch all what is sent to addresses of it that nobody has goes to a mailbox, or is refused, which is the rule
    remove    when no mailbox uses it

Anybody may claim any name, several organisations the same one: only a proof makes it theirs, and then nobody else's. So
a claim on a stranger's domain neither lets anyone send as it, nor keeps its owner from having it. All of it is for
admins: to everybody else a domain's page does not exist.
"""

import re
import secrets
import uuid
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.events.services import publish
from apps.mailboxes.errors import DomainClaimed, DomainInUse, DomainInvalid, NotVisible
from apps.mailboxes.models import Domain, OwnedAddress
from apps.mailboxes.selectors import mailbox_for
from apps.mime.address import InvalidAddress, normalise_address
from apps.mime.clean import clean_line

PROOF_PREFIX = "mail-platform-verify="
# Registries hand out nothing that is a number, and an address literal is no domain.
_TOP_LEVEL = re.compile(r"[a-z][a-z0-9-]*[a-z0-9]")


def normalise_domain(name: str) -> str:
    """A domain in lower-case A-labels (RFC 5890 §2.3.2.1). Raises DomainInvalid with a sentence for its person."""
    bare = name.strip().removesuffix(".").removeprefix("@")
    shown = clean_line(bare)[:100]
    try:
        domain = normalise_address(f"postmaster@{bare}").rpartition("@")[2]
    except InvalidAddress as error:
        raise DomainInvalid(f"“{shown}” is no domain name, such as example.org.") from error
    if "." not in domain or not _TOP_LEVEL.fullmatch(domain.rpartition(".")[2]):
        raise DomainInvalid(f"“{shown}” is no domain that mail is sent to, such as example.org.")
    return domain


def domains_for(principal: Principal) -> QuerySet[Domain]:
    """The organisation's domains, for its admins. Raises NotVisible for everybody else."""
    if not principal.is_admin:
        raise NotVisible("domains")
    return Domain.objects.filter(organisation_id=principal.organisation_id).order_by("name")


def domain_for(principal: Principal, domain_id: uuid.UUID | str) -> Domain:
    """One of them. Raises NotVisible."""
    try:
        return domains_for(principal).get(pk=domain_id)
    except (Domain.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(domain_id)) from error


def add_domain(principal: Principal, name: str) -> Domain:
    """Claim a domain. Raises DomainInvalid, DomainClaimed, and NotVisible for who is no admin."""
    domains_for(principal)
    normal = normalise_domain(name)
    if Domain.objects.filter(name=normal, verified_at__isnull=False).exists():
        raise DomainClaimed(normal)
    try:
        with transaction.atomic():
            domain = Domain.objects.create(
                organisation_id=principal.organisation_id, name=normal, proof=new_proof()
            )
            publish(principal.organisation_id, "domain.added", actor=principal.actor, domain=str(domain.pk))
    except IntegrityError as error:
        raise DomainClaimed(normal) from error
    return domain


def new_proof() -> str:
    """A token only the claim's organisation is shown."""
    return secrets.token_urlsafe(24)


@transaction.atomic
def mark_verified(domain: Domain, now: datetime, *, because: str, actor: str = "") -> bool:
    """The claim is proven: `because` is `dns` or `operator`. False when it was already.

    Raises DomainClaimed when another organisation proved the same name first.
    """
    try:
        with transaction.atomic():
            changed = Domain.objects.filter(pk=domain.pk, verified_at__isnull=True).update(verified_at=now)
    except IntegrityError as error:
        raise DomainClaimed(domain.name) from error
    if changed:
        domain.verified_at = now
        publish(
            domain.organisation_id, "domain.verified", actor=actor, domain=str(domain.pk), because=because
        )
    return bool(changed)


@transaction.atomic
def set_catch_all(principal: Principal, domain: Domain, mailbox_id: uuid.UUID | None) -> None:
    """Name the mailbox that takes what nobody has, or None for no such mailbox. Raises NotVisible for a stranger's."""
    locked = Domain.objects.select_for_update().get(pk=domain.pk)
    if locked.catch_all_id == mailbox_id:
        return
    mailbox = mailbox_for(principal, mailbox_id) if mailbox_id is not None else None
    domain.catch_all = locked.catch_all = mailbox
    locked.save(update_fields=["catch_all"])
    publish(
        locked.organisation_id,
        "domain.catch_all_changed",
        actor=principal.actor,
        domain=str(locked.pk),
        mailbox=str(mailbox_id or ""),
    )


@transaction.atomic
def remove_domain(principal: Principal, domain: Domain) -> None:
    """Give a domain up, with its keys. Raises DomainInUse naming the mailboxes that have addresses in it."""
    locked = Domain.objects.select_for_update().get(pk=domain.pk)
    addresses = OwnedAddress.objects.filter(
        organisation_id=locked.organisation_id, address__endswith=f"@{locked.name}"
    ).order_by("address")
    if used := list(addresses.values_list("address", flat=True)[: DomainInUse.NAMED + 1]):
        raise DomainInUse(locked.name, used)
    publish(locked.organisation_id, "domain.removed", actor=principal.actor, domain=str(locked.pk))
    locked.delete()
