"""Aliases: given and taken by admins, in domains of their own, and mail follows them."""

import pytest

from apps.accounts.errors import AdminsOnly
from apps.events.models import Event
from apps.mailboxes import aliases
from apps.mailboxes.addresses import find_owners, look_up, sendable_address
from apps.mailboxes.aliases import add_alias, alias_for, remove_alias
from apps.mailboxes.errors import AliasInvalid, NotVisible
from apps.mailboxes.models import Domain, OwnedAddress
from tests.people import House

pytestmark = pytest.mark.django_db


def test_mail_to_an_alias_comes_in_and_may_be_written_from_it(house: House) -> None:
    alias = add_alias(house.as_key, house.support, " Sales@HOUSE.test ")
    assert alias.address == "sales@house.test"
    assert [one.address for one in house.support.aliases] == ["sales@house.test"]
    assert find_owners(["sales@house.test"]).by_address == {"sales@house.test": house.organisation.pk}
    ours = look_up(house.organisation.pk, ["sales+order7@house.test"])
    assert ours.mailbox_for("sales+order7@house.test") == house.support
    assert sendable_address(house.as_alice, "sales@house.test") == alias


def test_mail_to_an_alias_that_was_taken_away_is_refused(house: House) -> None:
    alias = add_alias(house.as_key, house.support, "sales@house.test")
    remove_alias(house.as_key, alias)
    remove_alias(house.as_key, alias)
    assert find_owners(["sales@house.test"]).by_address == {}
    kinds = Event.objects.filter(kind__startswith="mailbox.alias").values_list("kind", flat=True)
    assert sorted(kinds) == ["mailbox.alias_added", "mailbox.alias_removed"]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "sales",
        "sales@elsewhere.test",
        "sales@claimed.test",
        "sales@stranger.test",
        "support@house.test",
        "alice@house.test",
        "a b@house.test",
    ],
)
def test_what_cannot_be_an_alias_is_refused_with_a_reason(
    house: House, stranger: House, address: str
) -> None:
    Domain.objects.create(organisation=house.organisation, name="claimed.test")
    before = OwnedAddress.objects.count()
    with pytest.raises(AliasInvalid) as refused:
        add_alias(house.as_key, house.support, address)
    assert refused.value.field == "address"
    assert OwnedAddress.objects.count() == before


def test_a_mailbox_has_only_so_many(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases, "MAX_OF_A_MAILBOX", 1)
    add_alias(house.as_key, house.support, "sales@house.test")
    with pytest.raises(AliasInvalid, match="at most 1"):
        add_alias(house.as_key, house.support, "help@house.test")


def test_only_admins_who_see_the_mailbox_change_its_aliases(house: House, stranger: House) -> None:
    alias = add_alias(house.as_key, house.support, "sales@house.test")
    assert alias_for(house.as_alice, house.support.pk, alias.pk) == alias
    with pytest.raises(AdminsOnly):
        add_alias(house.as_alice, house.support, "help@house.test")
    with pytest.raises(AdminsOnly):
        remove_alias(house.as_alice, alias)
    with pytest.raises(NotVisible):
        add_alias(stranger.as_key, house.support, "help@house.test")
    with pytest.raises(NotVisible):
        remove_alias(stranger.as_key, alias)
    with pytest.raises(NotVisible):
        alias_for(house.as_key, house.alices.pk, alias.pk)
    assert house.support.aliases == [alias]


def test_its_own_address_is_not_to_be_taken_away(house: House) -> None:
    own = OwnedAddress.objects.get(address="support@house.test")
    with pytest.raises(NotVisible):
        alias_for(house.as_key, house.support.pk, own.pk)
    remove_alias(house.as_key, own)
    assert OwnedAddress.objects.filter(pk=own.pk).exists()
