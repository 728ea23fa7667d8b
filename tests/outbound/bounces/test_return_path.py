"""The signed address of one delivery."""

import uuid

import pytest

from apps.mailboxes.models import MessageKind
from apps.mime.address import normalise_address
from apps.organisations.models import new_id
from apps.outbound.bounces.return_path import (
    ReturnPaths,
    delivery_of,
    looks_like_return_path,
    return_path_of,
)

SECRET = "a secret of a good length"
DELIVERY = uuid.UUID("01a206d0-5de6-7181-a4a9-8ddc007df198")


def test_an_address_names_its_delivery_whatever_the_case() -> None:
    for _ in range(200):
        delivery_id = new_id()
        path = return_path_of(delivery_id, "house.test", SECRET)
        assert len(path.partition("@")[0]) <= 64
        assert normalise_address(path) == path
        assert delivery_of(path, [SECRET]) == delivery_id
        assert delivery_of(path.upper(), [SECRET]) == delivery_id


def test_every_changed_letter_makes_it_nobodys() -> None:
    path = return_path_of(DELIVERY, "house.test", SECRET)
    for position in range(len("bounce+"), path.index("@")):
        for letter in "abcz27":
            if path[position] != letter:
                forged = f"{path[:position]}{letter}{path[position + 1 :]}"
                assert delivery_of(forged, [SECRET]) is None, forged


@pytest.mark.parametrize(
    "address",
    ["bounce@house.test", "bounce+x@house.test", "bounce+@house.test", "support+abc@house.test", "", "@", "bounce+"
     + "1" * 42 + "@house.test"],
)  # fmt: skip
def test_other_addresses_have_not_its_shape(address: str) -> None:
    assert not looks_like_return_path(address)
    assert delivery_of(address, [SECRET]) is None


def test_a_secret_that_was_replaced_still_opens_what_it_signed() -> None:
    old, new = ReturnPaths(("old",)), ReturnPaths(("new", "old"))
    path = old.of(DELIVERY, "support@house.test")
    assert new.delivery_of(path) == DELIVERY
    assert old.delivery_of(new.of(DELIVERY, "support@house.test")) is None


def test_the_domain_is_the_senders_in_ascii_or_the_one_that_is_set() -> None:
    assert ReturnPaths((SECRET,)).of(DELIVERY, "Support@Bücher.example").endswith("@xn--bcher-kva.example")
    assert (
        ReturnPaths((SECRET,), "bounces.house.test")
        .of(DELIVERY, "support@house.test")
        .endswith("@bounces.house.test")
    )


@pytest.mark.parametrize("kind", [MessageKind.AUTO_REPLY, MessageKind.BOUNCE, MessageKind.RECEIPT])
def test_answers_of_machines_have_the_null_path(kind: str) -> None:
    assert ReturnPaths((SECRET,)).of(DELIVERY, "support@house.test", kind) == ""


def test_the_secrets_are_in_no_repr() -> None:
    assert SECRET not in repr(ReturnPaths((SECRET,)))
