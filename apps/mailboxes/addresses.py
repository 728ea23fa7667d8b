"""Is this an address we own? Asked by RCPT, by submission and by nobody else in another way.

Comparing domain strings is never the answer: an address is ours when a row says so.
"""

from collections.abc import Iterable

from django.db.models import Q

from apps.accounts.principal import Principal
from apps.mailboxes.models import Domain, OwnedAddress
from apps.mailboxes.selectors import visible_mailboxes


def without_tag(address: str) -> str:
    """`support+order7@demo.test` without its tag (RFC 5233 §1): `support@demo.test`."""
    local, _at, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}" if "+" in local else address


def find_owned(addresses: Iterable[str]) -> dict[str, OwnedAddress]:
    """Those of the normalised `addresses` that we own, with their mailboxes; the exact address before the untagged."""
    asked = set(addresses)
    forms = asked | {without_tag(address) for address in asked}
    owned = {
        row.address: row for row in OwnedAddress.objects.select_related("mailbox").filter(address__in=forms)
    }
    found = {address: owned.get(address) or owned.get(without_tag(address)) for address in asked}
    return {address: row for address, row in found.items() if row is not None}


def is_our_domain(organisation_id: object, domain: str) -> bool:
    """Whether this (normalised) domain is proven to be the organisation's: an address of it that nobody owns exists
    nowhere, and one that somebody owns may be sent from."""
    verified = Domain.objects.filter(Q(organisation_id=organisation_id), verified_at__isnull=False)
    return verified.filter(name=domain).exists()


def sendable_address(principal: Principal, address: str) -> OwnedAddress | None:
    """The owned address behind a From that this caller may use, or None. A tag leads to the same mailbox."""
    row = find_owned([address]).get(address)
    if row is None or not visible_mailboxes(principal).filter(pk=row.mailbox_id).exists():
        return None
    return row
