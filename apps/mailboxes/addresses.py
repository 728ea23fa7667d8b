"""Is this an address we own? Asked by RCPT, by submission and by nobody else in another way.

Comparing domain strings is never the answer: an address is ours when a row says so, and its domain is proven to be its
organisation's. Mail to it goes to the first of these that there is:

    the address itself              a mailbox's own, or one of its aliases
    the address without its tag     support+order7@ → support@ (RFC 5233)
    the domain's catch-all mailbox  where an admin has named one
    the organisation's `fallback`   for postmaster@ and abuse@, which exist in every domain (RFC 5321 §4.5.1, RFC 2142)

Nobody may send as an address that only the last two lead to.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Length

from apps.accounts.models import Role
from apps.accounts.principal import Principal
from apps.mailboxes.models import Domain, Mailbox, MailboxKind, Membership, OwnedAddress
from apps.mailboxes.selectors import may_see
from apps.organisations.prepared import executed

_LOOK_UP = """
SELECT mailbox.id, owned.organisation_id, mailbox.name, mailbox.address, mailbox.kind, owned.id, owned.address
FROM mailboxes_ownedaddress owned JOIN mailboxes_mailbox mailbox ON mailbox.id = owned.mailbox_id
WHERE owned.address = ANY(%(addresses)s) AND owned.organisation_id = %(organisation)s
UNION ALL
SELECT mailbox.id, domain.organisation_id, mailbox.name, mailbox.address, mailbox.kind, NULL, domain.name
FROM mailboxes_domain domain LEFT JOIN mailboxes_mailbox mailbox ON mailbox.id = domain.catch_all_id
WHERE domain.organisation_id = %(organisation)s AND domain.name = ANY(%(domains)s) AND domain.verified_at IS NOT NULL
"""
_OWNERS = """
SELECT address, organisation_id, false FROM mailboxes_ownedaddress WHERE address = ANY(%(addresses)s)
UNION ALL
SELECT name, organisation_id, catch_all_id IS NOT NULL FROM mailboxes_domain
WHERE name = ANY(%(domains)s) AND verified_at IS NOT NULL
"""
_OF_MAILBOX = ["id", "organisation_id", "name", "address", "kind"]
ROLES = frozenset({"postmaster", "abuse"})


@dataclass(frozen=True, slots=True)
class Ours:
    """What of some (normalised) addresses is one organisation's own."""

    owned: Mapping[str, OwnedAddress]
    domains: Collection[str]
    catch_alls: Mapping[str, Mailbox] = field(default_factory=dict)
    fallback: Mailbox | None = None

    def mailbox_for(self, address: str) -> Mailbox | None:
        """Where mail to it goes: see the module's docstring."""
        row = self.owner_of(address)
        if row is not None:
            return row.mailbox
        is_ours = is_role(address) and self.has_domain_of(address)
        return self.catch_alls.get(address.rpartition("@")[2]) or (self.fallback if is_ours else None)

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


def is_role(address: str) -> bool:
    """Whether it is an address that every domain has."""
    return without_tag(address).rpartition("@")[0] in ROLES


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose some (normalised) addresses are, of any organisation; and which domains are somebody's at all."""

    by_address: Mapping[str, uuid.UUID]
    domains: Collection[str]


def find_owners(addresses: Iterable[str]) -> Owners:
    """Whose they are, as RCPT asks it: in one question, however many they are."""
    asked = set(addresses)
    rows: dict[str, uuid.UUID] = {}
    domains: dict[str, tuple[uuid.UUID, bool]] = {}
    with executed(_OWNERS, _forms_of(asked)) as cursor:
        for name, organisation_id, has_catch_all in cursor:
            if "@" in name:
                rows[name] = organisation_id
            else:
                domains[name] = organisation_id, has_catch_all
    found: dict[str, uuid.UUID] = {}
    for address in asked:
        owner, has_catch_all = domains.get(address.rpartition("@")[2], (None, False))
        has_row = owner is not None and owner in (rows.get(address), rows.get(without_tag(address)))
        if owner is not None and (has_row or has_catch_all or is_role(address)):
            found[address] = owner
    return Owners(found, domains)


def find_postmaster(hostname: str) -> str:
    """The full address of `<postmaster>` without a domain (RFC 5321 §4.5.1): of the proven domain that this platform's
    own name is in, else of the one that was proven first. "" before there is one."""
    labels = hostname.lower().split(".")
    own = [".".join(labels[n:]) for n in range(len(labels))]
    proven = Domain.objects.filter(verified_at__isnull=False)
    domain = (
        proven.filter(name__in=own).order_by(Length("name").desc()).first()
        or proven.order_by("verified_at", "pk").first()
    )
    return f"postmaster@{domain.name}" if domain is not None else ""


def fallback_mailbox(organisation_id: uuid.UUID) -> Mailbox | None:
    """Who reads what no other mailbox is there for: the oldest shared mailbox, else an admin's, else the oldest."""
    return (
        Mailbox.objects.filter(organisation_id=organisation_id)
        .annotate(
            is_admins=Exists(Membership.objects.filter(mailbox=OuterRef("pk"), user__role=Role.ADMIN)),
            is_shared=Q(kind=MailboxKind.SHARED),
        )
        .order_by("-is_shared", "-is_admins", "created_at", "pk")
        .first()
    )


def _forms_of(asked: Collection[str]) -> dict[str, Any]:
    return {
        "addresses": list({*asked, *(without_tag(address) for address in asked)}),
        "domains": list({address.rpartition("@")[2] for address in asked}),
    }


def look_up(organisation_id: uuid.UUID, addresses: Iterable[str]) -> Ours:
    """What is to be known of all addresses of a message, in one question."""
    asked = set(addresses)
    parameters = {"organisation": organisation_id, **_forms_of(asked)}
    owned, domains, catch_alls = {}, set(), {}
    with executed(_LOOK_UP, parameters) as cursor:
        for *of_mailbox, owned_id, name in cursor:
            mailbox = Mailbox.from_db(connection.alias, _OF_MAILBOX, of_mailbox)
            if owned_id is None:
                domains.add(name)
                if mailbox.pk is not None:
                    catch_alls[name] = mailbox
                continue
            owned[name] = OwnedAddress(
                id=owned_id, organisation_id=mailbox.organisation_id, address=name, mailbox=mailbox
            )
    unowned = (address for address in asked if is_role(address) and without_tag(address) not in owned)
    fallback = (
        fallback_mailbox(organisation_id)
        if any(address.rpartition("@")[2] in domains for address in unowned)
        else None
    )
    return Ours(owned, domains, catch_alls, fallback)


def sendable_address(principal: Principal, address: str, ours: Ours | None = None) -> OwnedAddress | None:
    """The owned address behind a From that this caller may use, or None. A tag leads to the same mailbox. `ours`: what
    `look_up` has said about it already."""
    row = (ours or look_up(principal.organisation_id, [address])).owner_of(address)
    return row if row is not None and may_see(principal, row.mailbox) else None
