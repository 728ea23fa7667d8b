"""What is told of a sender's name, which anybody may write as they like."""

import pytest

from apps.mailboxes.provenance import Standing, colleagues_of, provenance_of
from tests.arrivals import arrive
from tests.mail import raw_mail
from tests.people import House

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("sender", "disguised"),
    [
        ("Elena Marsh <elena@customer.example>", False),
        ("{name} <ceo@customer.example>", True),
        ("{shouted}  <ceo@customer.example>", True),
        ("{name} <{email}>", False),
        ('"alice@house.test" <x@customer.example>', True),
        ('"Bank (service@bank.test)" <x@customer.example>', True),
        ('"elena@customer.example" <x@customer.example>', False),
        ("<x@customer.example>", False),
    ],
)
def test_a_name_that_pretends_is_told(house: House, sender: str, disguised: bool) -> None:  # noqa: FBT001
    alice = house.alice
    written = sender.format(name=alice.name, shouted=alice.name.upper(), email=alice.email)
    message = arrive(house.support, raw_mail(sender=written))
    shown = provenance_of(message, colleagues_of(house.organisation.pk))
    assert bool(shown.disguise) == disguised, shown.disguise


def test_only_ones_own_colleagues_are_known(house: House, stranger: House) -> None:
    assert house.alice.email in colleagues_of(house.organisation.pk)
    assert house.alice.email not in colleagues_of(stranger.organisation.pk)


def test_nothing_is_said_of_mail_that_nobody_asked_about(house: House) -> None:
    shown = provenance_of(arrive(house.support))
    assert (shown.standing, shown.says_anything) == (Standing.UNCHECKED, False)
