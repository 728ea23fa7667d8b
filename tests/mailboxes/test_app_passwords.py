"""App passwords: who makes, sees and takes back which, and what their principal may see."""

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.principal import Principal
from apps.accounts.services import create_api_key
from apps.events.models import Event
from apps.mailboxes import app_passwords
from apps.mailboxes.addresses import sendable_address
from apps.mailboxes.app_passwords import (
    app_password_for,
    app_passwords_for,
    create_app_password,
    principal_of_app_password,
    renewed,
    revoke_app_password,
)
from apps.mailboxes.errors import AppPasswordInvalid, NotVisible
from apps.mailboxes.models import AppPassword, Mailbox
from apps.mailboxes.selectors import messages_for, visible_mailboxes
from tests.arrivals import arrive
from tests.people import House


def make(principal: Principal, mailbox: Mailbox, name: str = "Laptop") -> tuple[AppPassword, str]:
    return create_app_password(principal, mailbox, name=name, now=timezone.now())


def whose(words: str) -> Principal | None:
    return principal_of_app_password(words, "192.0.2.7", timezone.now())


def test_it_opens_its_mailbox_and_nothing_else(house: House) -> None:
    arrive(house.support)
    arrive(house.alices, message_id="hers@x.example")
    _row, words = make(house.as_alice, house.support)
    principal = whose(words)
    assert principal is not None
    assert (principal.user, principal.role, principal.is_admin) == (house.alice, Role.AGENT, False)
    assert list(visible_mailboxes(principal)) == [house.support]
    assert messages_for(principal).count() == 1
    assert sendable_address(principal, "support@house.test") is not None
    assert sendable_address(principal, "alice@house.test") is None


def test_an_admins_own_is_no_admin(house: House) -> None:
    _row, words = make(Principal.of_user(house.admin), house.support)
    principal = whose(words)
    assert principal is not None
    assert not principal.is_admin
    assert not principal.sees_everything


def test_an_organisations_key_makes_one_of_the_mailbox_itself(house: House) -> None:
    row, words = make(house.as_key, house.support, "Scanner")
    principal = whose(words)
    assert principal is not None
    assert (principal.user, principal.actor) == (None, f"app-password:{row.pk}")
    assert list(visible_mailboxes(principal)) == [house.support]
    assert not principal.sees_everything


def test_only_a_hash_is_kept_and_the_words_are_long(house: House) -> None:
    row, words = make(house.as_alice, house.support)
    assert len(words.replace("-", "")) * 5 == 100, "bits"
    kept = AppPassword.objects.values().get()
    assert words not in repr(kept)
    assert words.replace("-", "") not in repr(kept)
    assert words not in repr(row)
    assert words not in repr(list(Event.objects.values()))


def test_who_may_not_see_the_mailbox_makes_none(house: House, stranger: House) -> None:
    for principal, mailbox in ((house.as_alice, house.bobs), (stranger.as_key, house.support)):
        with pytest.raises(NotVisible):
            make(principal, mailbox)
    agents = create_api_key(house.organisation, name="agent", role=Role.AGENT)[0]
    with pytest.raises(NotVisible):
        make(Principal.of_key(agents), house.support)


def test_people_see_their_own_and_admins_all_of_their_organisation(house: House, stranger: House) -> None:
    alices, bobs, own = (
        make(house.as_alice, house.support)[0],
        make(house.as_bob, house.bobs)[0],
        make(house.as_key, house.support)[0],
    )
    assert list(app_passwords_for(house.as_alice)) == [alices]
    assert list(app_passwords_for(Principal.of_user(house.admin))) == [own, bobs, alices]
    assert list(app_passwords_for(house.as_key)) == [own, bobs, alices]
    assert not app_passwords_for(stranger.as_key).exists()
    agents = create_api_key(house.organisation, name="agent", role=Role.AGENT)[0]
    assert not app_passwords_for(Principal.of_key(agents)).exists(), "nobody's are not everybody's"
    with pytest.raises(NotVisible):
        app_password_for(house.as_alice, bobs.pk)


def test_what_was_revoked_opens_nothing_and_is_listed_no_more(house: House, stranger: House) -> None:
    row, words = make(house.as_alice, house.support)
    principal = whose(words)
    assert principal is not None
    with pytest.raises(NotVisible):
        revoke_app_password(stranger.as_key, row, timezone.now())
    assert renewed(principal) is not None, "not by a stranger"
    revoke_app_password(house.as_key, row, timezone.now())
    assert whose(words) is None
    assert renewed(principal) is None
    assert not app_passwords_for(house.as_key).exists()
    kinds = list(
        Event.objects.filter(kind__startswith="app_password").order_by("id").values_list("kind", flat=True)
    )
    assert kinds == ["app_password.created", "app_password.revoked"]


def test_use_is_noted_with_where_from_once_a_minute(house: House) -> None:
    _row, words = make(house.as_alice, house.support)
    whose(words)
    first = AppPassword.objects.get()
    assert (first.last_used_from, first.last_used_at is not None) == ("192.0.2.7", True)
    whose(words)
    assert AppPassword.objects.get().last_used_at == first.last_used_at
    principal_of_app_password(words, "192.0.2.8", timezone.now())
    assert AppPassword.objects.get().last_used_from == "192.0.2.8"


@pytest.mark.parametrize("name", ["", " \n", "x" * 101])
def test_it_has_a_name(house: House, name: str) -> None:
    with pytest.raises(AppPasswordInvalid) as refused:
        make(house.as_alice, house.support, name)
    assert refused.value.field == "name"


def test_a_mailbox_has_so_many_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_passwords, "MAX_OF_A_MAILBOX", 1)
    row, _words = make(house.as_alice, house.support)
    with pytest.raises(AppPasswordInvalid):
        make(house.as_bob, house.support)
    revoke_app_password(house.as_alice, row, timezone.now())
    make(house.as_bob, house.support)
