"""Domains: claimed, proven, given up."""

import pytest
from django.utils import timezone

from apps.mailboxes.addresses import look_up
from apps.mailboxes.domains import (
    add_domain,
    domain_for,
    domains_for,
    mark_verified,
    normalise_domain,
    remove_domain,
)
from apps.mailboxes.errors import DomainClaimed, DomainInUse, DomainInvalid, NotVisible
from apps.mailboxes.models import Domain
from tests.people import House

NOW = timezone.now()


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("Kite.Example", "kite.example"),
        (" kite.example. ", "kite.example"),
        ("@kite.example", "kite.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("a.b.kite.example", "a.b.kite.example"),
    ],
)
def test_a_domain_has_one_form(given: str, normal: str) -> None:
    assert normalise_domain(given) == normal


@pytest.mark.parametrize(
    "given",
    [
        "", "localhost", "kite", "192.0.2.1", "[192.0.2.1]", "kite..example", "-kite.example", "a b.example",
        "x@y.example", "https://kite.example", "kite.example/x", "kite.123", "x" * 64 + ".example", "\x00.example",
        "\ud800.example",
    ],
)  # fmt: skip
def test_what_is_no_domain_is_refused_in_a_sentence(given: str) -> None:
    with pytest.raises(DomainInvalid, match=r"such as example\.org"):
        normalise_domain(given)


def is_of(house: House, domain: str) -> bool:
    return look_up(house.organisation.pk, [f"anybody@{domain}"]).has_domain_of(f"anybody@{domain}")


def test_a_claim_is_not_ours_yet(house: House) -> None:
    domain = add_domain(house.as_key, "kite.example")
    assert not domain.is_verified
    assert not is_of(house, "kite.example")
    assert mark_verified(domain, NOW, because="operator")
    assert not mark_verified(domain, NOW, because="operator")
    assert is_of(house, "kite.example")


def test_a_strangers_claim_keeps_nobody_from_proving_it_theirs(house: House, stranger: House) -> None:
    squatted, ours = add_domain(stranger.as_key, "kite.example"), add_domain(house.as_key, "kite.example")
    assert squatted.proof != ours.proof
    mark_verified(ours, NOW, because="dns")
    with pytest.raises(DomainClaimed):
        mark_verified(squatted, NOW, because="dns")
    assert not is_of(stranger, "kite.example")


def test_what_is_proven_or_claimed_by_oneself_cannot_be_claimed(house: House, stranger: House) -> None:
    for name in ("stranger.test", "house.test"):
        with pytest.raises(DomainClaimed):
            add_domain(house.as_key, name)
    add_domain(house.as_key, "kite.example")
    with pytest.raises(DomainClaimed):
        add_domain(house.as_key, "KITE.example")


def test_a_domain_in_use_stays_and_says_by_whom(house: House) -> None:
    with pytest.raises(DomainInUse, match=r"alice@house\.test"):
        remove_domain(house.as_key, Domain.objects.get(name="house.test"))
    assert Domain.objects.filter(name="house.test").exists()


def test_an_unused_domain_goes(house: House) -> None:
    domain = add_domain(house.as_key, "kite.example")
    remove_domain(house.as_key, domain)
    assert not Domain.objects.filter(name="kite.example").exists()


def test_a_longer_name_that_ends_alike_is_another_domain(house: House) -> None:
    # support@house.test does not use use.test
    domain = add_domain(house.as_key, "use.test")
    remove_domain(house.as_key, domain)


def test_domains_are_for_admins_of_the_organisation(house: House, stranger: House) -> None:
    domain = Domain.objects.get(name="house.test")
    assert list(domains_for(house.as_key)) == [domain]
    for principal in (house.as_alice, stranger.as_key):
        with pytest.raises(NotVisible):
            domain_for(principal, domain.pk)
    with pytest.raises(NotVisible):
        add_domain(house.as_alice, "kite.example")
