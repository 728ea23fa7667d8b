"""Is this an address we own? Asked by RCPT, by submission and by nobody else in another way.

Comparing domain strings is never the answer: an address is ours when a row says so.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Q

from apps.accounts.principal import Principal
from apps.mailboxes.models import Domain, Mailbox, OwnedAddress
from apps.mailboxes.selectors import may_see
from apps.organisations.prepared import executed

_LOOK_UP = """
SELECT mailbox.id, owned.organisation_id, mailbox.name, mailbox.address, mailbox.kind, owned.id, owned.address
FROM mailboxes_ownedaddress owned JOIN mailboxes_mailbox mailbox ON mailbox.id = owned.mailbox_id
WHERE owned.address = ANY(%(addresses)s) AND owned.organisation_id = %(organisation)s
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, name FROM mailboxes_domain
WHERE organisation_id = %(organisation)s AND name = ANY(%(domains)s) AND verified_at IS NOT NULL
"""
_OF_MAILBOX = ["id", "organisation_id", "name", "address", "kind"]


@dataclass(frozen=True, slots=True)
class Ours:
    """What of some (normalised) addresses is one organisation's own."""

    owned: Mapping[str, OwnedAddress]
    domains: Collection[str]

    def owner_of(self, address: str) -> OwnedAddress | None:
        """Who has it, with the mailbox: the exact address before the untagged."""
        return self.owned.get(address) or self.owned.get(without_tag(address))

    def has_domain_of(self, address: str) -> bool:
        """Whether its domain is proven to be the organisation's."""
        return address.rpartition("@")[2] in self.domains


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


def look_up(organisation_id: uuid.UUID, addresses: Iterable[str]) -> Ours:
    """What is to be known of all addresses of a message, in one question."""
    asked = set(addresses)
    parameters: dict[str, Any] = {
        "organisation": organisation_id,
        "addresses": list(asked | {without_tag(address) for address in asked}),
        "domains": list({address.rpartition("@")[2] for address in asked}),
    }
    owned, domains = {}, set()
    with executed(_LOOK_UP, parameters) as cursor:
        for *of_mailbox, owned_id, name in cursor:
            if owned_id is None:
                domains.add(name)
                continue
            mailbox = Mailbox.from_db(connection.alias, _OF_MAILBOX, of_mailbox)
            owned[name] = OwnedAddress(
                id=owned_id, organisation_id=mailbox.organisation_id, address=name, mailbox=mailbox
            )
    return Ours(owned, domains)


def is_our_domain(organisation_id: object, domain: str) -> bool:
    """Whether this (normalised) domain is proven to be the organisation's: an address of it that nobody owns exists
    nowhere, and one that somebody owns may be sent from."""
    verified = Domain.objects.filter(Q(organisation_id=organisation_id), verified_at__isnull=False)
    return verified.filter(name=domain).exists()


def sendable_address(principal: Principal, address: str, ours: Ours | None = None) -> OwnedAddress | None:
    """The owned address behind a From that this caller may use, or None. A tag leads to the same mailbox. `ours`: what
    `look_up` has said about it already."""
    row = (ours or look_up(principal.organisation_id, [address])).owner_of(address)
    return row if row is not None and may_see(principal, row.mailbox) else None
