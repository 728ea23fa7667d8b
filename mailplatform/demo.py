"""The demo organisation: what a newcomer finds on the first morning.

Passwords and keys are generated and written to `demo.json` (mode 0600) in the data folder; nothing of them is constant,
and the database keeps hashes only. Made once, on an empty database.
"""

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import Role, User
from apps.accounts.services import create_api_key
from apps.mailboxes.domains import new_proof
from apps.mailboxes.models import Domain, MailboxKind
from apps.mailboxes.services import create_mailbox
from apps.organisations.models import Organisation
from apps.outbound.signing.rotation import activate, create_keys


@dataclass(frozen=True, slots=True)
class DemoPerson:
    local: str
    name: str
    role: Role


@dataclass(slots=True)
class DemoHouse:
    """One organisation of the demo, with the secrets that are shown once."""

    domain: str
    api_key: str
    users: list[dict[str, str]] = field(default_factory=list)
    mailboxes: list[dict[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "domain": self.domain,
            "api_key": self.api_key,
            "users": self.users,
            "mailboxes": self.mailboxes,
        }


PEOPLE = (
    DemoPerson("admin", "Ada Admin", Role.ADMIN),
    DemoPerson("jonas", "Jonas Keller", Role.AGENT),
    DemoPerson("mara", "Mara Eklund", Role.AGENT),
)
OUTSIDERS = (DemoPerson("olga", "Olga Outside", Role.ADMIN),)


@transaction.atomic
def create_demo() -> tuple[DemoHouse, DemoHouse] | None:
    """The demo organisation and the outsider's. None when the platform has an organisation already."""
    if Organisation.objects.exists():
        return None
    return _build("Demo", "demo.test", PEOPLE), _build("Outside", "outside.test", OUTSIDERS)


def _build(name: str, domain: str, people: tuple[DemoPerson, ...]) -> DemoHouse:
    organisation = Organisation.objects.create(name=name)
    _sign_for(
        Domain.objects.create(
            organisation=organisation, name=domain, proof=new_proof(), verified_at=timezone.now()
        )
    )
    _key, secret = create_api_key(organisation, name=f"{name} integrations", role=Role.ADMIN)
    house = DemoHouse(domain=domain, api_key=secret)
    users = [_person(organisation, house, person) for person in people]
    mailboxes = [
        create_mailbox(
            organisation, address=user.email, name=user.name, kind=MailboxKind.PERSONAL, members=[user]
        )
        for user in users
    ]
    mailboxes.append(
        create_mailbox(
            organisation,
            address=f"support@{domain}",
            name=f"{name} Support",
            kind=MailboxKind.SHARED,
            members=users,
        )
    )
    house.mailboxes = [{"id": str(one.pk), "address": one.address, "kind": one.kind} for one in mailboxes]
    return house


def _sign_for(domain: Domain) -> None:
    """Sign as a real domain would, although no DNS knows a `.test` name (RFC 6761 §6.2) and nobody can check it."""
    for key in create_keys(domain, timezone.now()):
        activate(key, timezone.now(), because="demo")


def _person(organisation: Organisation, house: DemoHouse, person: DemoPerson) -> User:
    password = secrets.token_urlsafe(12)
    user = User.objects.create_user(
        organisation=organisation,
        email=f"{person.local}@{house.domain}",
        name=person.name,
        password=password,
        role=person.role,
    )
    house.users.append({"email": user.email, "password": password, "role": user.role})
    return user


def write_demo_json(
    path: Path, demo: DemoHouse, outsider: DemoHouse, *, web: str, smtp: str, submission: str, sink: str
) -> None:
    """Write the file whole or not at all, readable by its owner only."""
    content = {"web": web, "smtp": smtp, "submission": submission, "sink": sink, **demo.as_json()}
    content["outsider"] = outsider.as_json()
    draft = path.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.replace(path)
