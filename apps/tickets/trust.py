"""Senders whose mail an organisation always lets in: an address, or a whole domain.

Trust is in who they are, so it counts only where it is proven that the mail is theirs: whoever forges a trusted address
would otherwise be let in by its good name. It spares a mail the spam filter. It does not help a mail that fails DMARC,
which proves nothing, and never lets a virus or a dangerous file in: honest people's machines send those too.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.accounts.principal import Principal
from apps.events.services import publish
from apps.mailboxes.errors import NotVisible
from apps.mime.address import InvalidAddress, normalise_address
from apps.mime.clean import clean_line
from apps.names.domains import is_public_suffix
from apps.tickets.errors import TrustInvalid
from apps.tickets.models import TrustedSender

# Anybody has an address there: to trust the domain would be to trust everybody. So it would be with `co.uk`.
OF_EVERYBODY = frozenset(
    {
        "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "ymail.com",
        "icloud.com", "me.com", "mac.com", "aol.com", "gmx.com", "gmx.net", "gmx.de", "web.de", "t-online.de",
        "mail.com", "mail.ru", "yandex.ru", "yandex.com", "qq.com", "163.com", "126.com", "proton.me",
        "protonmail.com", "zoho.com", "fastmail.com", "orange.fr", "free.fr", "libero.it", "comcast.net",
    }
)  # fmt: skip
# Those who give such addresses under every country's domain: `yahoo.co.uk`, `hotmail.fr`.
EVERYWHERE = frozenset({"aol", "gmx", "hotmail", "live", "msn", "outlook", "yahoo", "yandex"})


def trusted_senders_for(principal: Principal) -> QuerySet[TrustedSender]:
    """All of the caller's organisation, newest first: everybody may see whom the house trusts."""
    rows = TrustedSender.objects.filter(organisation_id=principal.organisation_id)
    return rows.select_related("added_by").order_by("-created_at", "-id")


def trusted_sender_for(principal: Principal, row_id: uuid.UUID | str) -> TrustedSender:
    """One of them. Raises NotVisible."""
    try:
        return trusted_senders_for(principal).get(pk=row_id)
    except (TrustedSender.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(row_id)) from error


@transaction.atomic
def trust_sender(principal: Principal, sender: str, *, now: datetime) -> TrustedSender:
    """Trust an address, or a domain; the row, also when it was there. Raises TrustInvalid."""
    normal = _normalised(sender)
    row, made = TrustedSender.objects.get_or_create(
        organisation_id=principal.organisation_id,
        sender=normal,
        defaults={"actor": principal.actor, "added_by": principal.user, "created_at": now},
    )
    if made:
        publish(principal.organisation_id, "sender.trusted", actor=principal.actor, trusted=str(row.pk))
    return row


@transaction.atomic
def distrust_sender(principal: Principal, row: TrustedSender) -> None:
    """Trust it no more. Doing it again changes nothing."""
    if TrustedSender.objects.filter(pk=row.pk).delete()[0]:
        publish(row.organisation_id, "sender.distrusted", actor=principal.actor, trusted=str(row.pk))


def names_of(address: str) -> list[str]:
    """Under which names an address may be trusted: itself, its domain, and the domains that one lies in."""
    try:
        normal = normalise_address(address)
    except InvalidAddress:
        return []
    labels = normal.rpartition("@")[2].split(".")
    return [normal, *(".".join(labels[n:]) for n in range(len(labels) - 1))]


def proves_sender(found_out: Mapping[str, Any] | None) -> bool:
    """Whether something speaks for the domain of a mail's From, by what authentication found out."""
    return bool(found_out and found_out.get("dmarc", {}).get("proven_by"))


def _normalised(sender: str) -> str:
    wanted = clean_line(sender, 320).strip().lstrip("@").rstrip(".")
    try:
        if "@" in wanted:
            return normalise_address(wanted)
        domain = normalise_address(f"anybody@{wanted}").rpartition("@")[2]
    except InvalidAddress as error:
        raise TrustInvalid("sender", _("Write an address or a domain, such as example.org.")) from error
    if "." not in domain or domain.startswith("["):
        raise TrustInvalid("sender", _("Write an address or a domain, such as example.org."))
    if _is_of_everybody(domain):
        told = _("Anybody can have an address at %(domain)s. Trust single addresses instead.")
        raise TrustInvalid("sender", told % {"domain": domain})
    return domain


def _is_of_everybody(domain: str) -> bool:
    name, _dot, suffix = domain.partition(".")
    is_known = domain in OF_EVERYBODY or (name in EVERYWHERE and is_public_suffix(suffix))
    return is_known or is_public_suffix(domain)
