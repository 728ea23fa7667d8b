"""Secrets at rest."""

import base64

import pytest
from pytest_django import Settings

from apps.organisations.sealing import SealBroken, is_stale, seal, unseal

SECRET = b"-----BEGIN PRIVATE KEY-----"


def test_what_was_sealed_is_unsealed() -> None:
    assert unseal(seal(SECRET, "dkim"), "dkim") == SECRET


def test_a_sealed_text_shows_nothing_and_never_looks_the_same() -> None:
    first, second = seal(SECRET, "dkim"), seal(SECRET, "dkim")
    assert first != second
    assert SECRET not in base64.urlsafe_b64decode(first.partition(".")[2])


def test_a_text_sealed_for_one_thing_does_not_open_as_another() -> None:
    with pytest.raises(SealBroken):
        unseal(seal(SECRET, "dkim:a.example/s1"), "dkim:b.example/s1")


@pytest.mark.parametrize("damage", ["", "v1.", "v1.AAAA", "v2.AAAA", "v1.\u00e4", "v1.!!", "plain text"])
def test_what_nobody_sealed_is_refused_by_name(damage: str) -> None:
    with pytest.raises(SealBroken):
        unseal(damage, "dkim")


def test_one_changed_bit_is_noticed() -> None:
    content = bytearray(base64.urlsafe_b64decode(seal(SECRET, "dkim").partition(".")[2]))
    content[-1] ^= 1
    with pytest.raises(SealBroken):
        unseal(f"v1.{base64.urlsafe_b64encode(content).decode()}", "dkim")


def test_the_old_key_opens_until_it_is_forgotten(settings: Settings) -> None:
    settings.SECRET_KEY = "the old one"
    sealed = seal(SECRET, "dkim")
    assert not is_stale(sealed, "dkim")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", ["the old one"]
    assert unseal(sealed, "dkim") == SECRET
    assert is_stale(sealed, "dkim")
    assert not is_stale(seal(SECRET, "dkim"), "dkim")
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(SealBroken):
        is_stale(sealed, "dkim")
