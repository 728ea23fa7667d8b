"""The people of every test: two agents, an admin, a shared mailbox, and an outsider who must never see any of it."""

from dataclasses import dataclass
from functools import cache

import pytest
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from apps.accounts.models import ApiKey, Role, User
from apps.accounts.principal import Principal
from apps.accounts.services import create_api_key
from apps.mailboxes.models import Domain, Mailbox, MailboxKind
from apps.mailboxes.services import create_mailbox
from apps.organisations.models import Organisation

PASSWORD = "a long enough password"


@cache
def hashed_password() -> str:
    """Everybody's, hashed once: Argon2 is slow on purpose."""
    return make_password(PASSWORD)


@dataclass(frozen=True)
class House:
    """One organisation with its people. `key` is an organisation-wide admin key, `secret` what a client sends."""

    organisation: Organisation
    domain: str
    admin: User
    alice: User
    bob: User
    support: Mailbox
    alices: Mailbox
    bobs: Mailbox
    key: ApiKey
    secret: str

    @property
    def as_key(self) -> Principal:
        return Principal.of_key(self.key)

    @property
    def as_alice(self) -> Principal:
        return Principal.of_user(self.alice)

    @property
    def as_bob(self) -> Principal:
        return Principal.of_user(self.bob)


def build_house(name: str, domain: str) -> House:
    organisation = Organisation.objects.create(name=name)
    Domain.objects.create(organisation=organisation, name=domain, verified_at=timezone.now())

    def person(local: str, role: Role) -> User:
        return User.objects.create(
            organisation=organisation,
            email=f"{local}@{domain}",
            name=f"{local.title()} {name}",
            password=hashed_password(),
            role=role,
        )

    admin, alice, bob = person("admin", Role.ADMIN), person("alice", Role.AGENT), person("bob", Role.AGENT)

    def personal(user: User) -> Mailbox:
        return create_mailbox(
            organisation, address=user.email, name=user.name, kind=MailboxKind.PERSONAL, members=[user]
        )

    personal(admin)
    alices, bobs = personal(alice), personal(bob)
    support = create_mailbox(
        organisation,
        address=f"support@{domain}",
        name=f"{name} Support",
        kind=MailboxKind.SHARED,
        members=[admin, alice, bob],
    )
    key, secret = create_api_key(organisation, name="tests", role=Role.ADMIN)
    return House(organisation, domain, admin, alice, bob, support, alices, bobs, key, secret)


@pytest.fixture
def house(db: None) -> House:
    """The organisation under test, at house.test."""
    return build_house("House", "house.test")


@pytest.fixture
def stranger(db: None) -> House:
    """Another organisation on the same platform, at stranger.test: the outsider, with a valid key."""
    return build_house("Stranger", "stranger.test")
