"""A key's life: made, published, signing, replaced, retired."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import Settings

from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Domain
from apps.organisations.resealing import reseal_stale
from apps.outbound.errors import NotPossibleNow
from apps.outbound.models import KeyAlgorithm, KeyState, SigningKey
from apps.outbound.signing import keys_for
from apps.outbound.signing.keyring import forget_keys, opens
from apps.outbound.signing.keys import record_value, txt_strings
from apps.outbound.signing.rotation import (
    KEPT_PUBLISHED,
    activate,
    create_keys,
    discard,
    key_for,
    retire_due,
    stop_signing,
)
from tests.people import House

NOW = timezone.now()
RSA, ED25519 = KeyAlgorithm.RSA, KeyAlgorithm.ED25519


@pytest.fixture(autouse=True)
def _nothing_is_kept_from_the_test_before() -> None:
    forget_keys()


@pytest.fixture
def domain(house: House) -> Domain:
    return Domain.objects.get(name=house.domain)


def signing_selectors(domain: Domain) -> list[str]:
    forget_keys()
    return [key.selector for key in keys_for(domain.name)]


def activate_all(domain: Domain) -> list[SigningKey]:
    keys = create_keys(domain, NOW)
    for key in keys:
        activate(key, NOW, because="person")
    return keys


def states(domain: Domain) -> dict[str, str]:
    return dict(SigningKey.objects.filter(domain=domain).values_list("selector", "state"))


def test_a_new_key_does_not_sign_until_it_is_published(domain: Domain) -> None:
    keys = create_keys(domain, NOW)
    assert [key.algorithm for key in keys] == [RSA, ED25519]
    assert signing_selectors(domain) == []
    activate(keys[1], NOW, because="dns")
    activate(keys[0], NOW, because="dns")
    assert signing_selectors(domain) == [keys[0].selector, keys[1].selector], "RSA first"


def test_the_old_key_signs_until_the_new_one_is_published_and_stays_published_after(domain: Domain) -> None:
    old = activate_all(domain)
    new = create_keys(domain, NOW, algorithms=[RSA])[0]
    assert new.selector not in {key.selector for key in old}
    assert signing_selectors(domain) == [old[0].selector, old[1].selector]
    activate(new, NOW, because="dns")
    assert signing_selectors(domain) == [new.selector, old[1].selector]
    assert states(domain)[old[0].selector] == KeyState.RETIRING
    assert retire_due(NOW + KEPT_PUBLISHED - timedelta(seconds=1)) == 0
    assert retire_due(NOW + KEPT_PUBLISHED) == 1
    retired = SigningKey.objects.get(pk=old[0].pk)
    assert (retired.state, retired.sealed_private_key) == (KeyState.RETIRED, "")


def test_asking_for_keys_again_makes_no_second_pending_one(domain: Domain) -> None:
    assert len(create_keys(domain, NOW)) == 2
    assert create_keys(domain, NOW) == []


def test_the_database_allows_one_active_key_an_algorithm(domain: Domain) -> None:
    activate_all(domain)
    other = create_keys(domain, NOW, algorithms=[RSA])[0]
    with pytest.raises(IntegrityError), transaction.atomic():
        SigningKey.objects.filter(pk=other.pk).update(state=KeyState.ACTIVE, activated_at=NOW)


def test_a_selector_is_never_used_twice(domain: Domain) -> None:
    selectors = []
    for _ in range(3):
        key = create_keys(domain, NOW, algorithms=[ED25519])[0]
        selectors.append(key.selector)
        discard(key, NOW)
    assert len(set(selectors)) == 3
    assert selectors[1] == f"{selectors[0]}2"


def test_a_key_changes_its_state_once(domain: Domain) -> None:
    key = create_keys(domain, NOW, algorithms=[RSA])[0]
    with pytest.raises(NotPossibleNow):
        stop_signing(key, NOW)
    activate(key, NOW, because="person")
    with pytest.raises(NotPossibleNow):
        activate(key, NOW, because="person")
    with pytest.raises(NotPossibleNow):
        discard(key, NOW)
    stop_signing(key, NOW)
    assert signing_selectors(domain) == []


def test_nothing_is_signed_for_a_domain_that_is_only_claimed(domain: Domain) -> None:
    activate_all(domain)
    assert signing_selectors(domain)
    Domain.objects.filter(pk=domain.pk).update(verified_at=None)
    assert signing_selectors(domain) == []


def test_a_key_that_does_not_open_signs_nothing_and_hurts_nobody(domain: Domain, settings: Settings) -> None:
    keys = activate_all(domain)
    settings.SECRET_KEY = "another one, and no fallback"
    assert signing_selectors(domain) == []
    assert not opens(keys[0])


def test_a_key_sealed_under_an_earlier_secret_is_sealed_anew(domain: Domain, settings: Settings) -> None:
    activate_all(domain)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "the new one"
    assert len(signing_selectors(domain)) == 2
    assert reseal_stale() == 2
    assert reseal_stale() == 0
    settings.SECRET_KEY_FALLBACKS = []
    assert len(signing_selectors(domain)) == 2


def test_the_row_and_its_repr_hold_no_private_key(domain: Domain) -> None:
    activate_all(domain)
    forget_keys()
    key = keys_for(domain.name)[0]
    assert "private" not in repr(key)
    row = SigningKey.objects.filter(domain=domain)[0]
    assert row.sealed_private_key.startswith("v1.")


def test_a_long_record_is_published_in_strings_of_255(domain: Domain) -> None:
    key = create_keys(domain, NOW, algorithms=[RSA])[0]
    value = record_value(key.algorithm, key.public_key)
    assert len(txt_strings(value)[0]) == 255
    assert "".join(txt_strings(value)) == value


def test_only_admins_of_the_organisation_find_a_key(domain: Domain, house: House, stranger: House) -> None:
    key = create_keys(domain, NOW, algorithms=[RSA])[0]
    assert key_for(house.as_key, key.pk) == key
    for principal in (house.as_alice, stranger.as_key):
        with pytest.raises(NotVisible):
            key_for(principal, key.pk)
