"""An operator's word for a domain."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.mailboxes.domains import add_domain
from tests.people import House


def verify(*arguments: str) -> str:
    out = StringIO()
    call_command("verify_domain", *arguments, stdout=out)
    return out.getvalue()


def test_an_operator_verifies_a_claim(house: House) -> None:
    domain = add_domain(house.as_key, "kite.example")
    assert "is verified now" in verify("Kite.Example")
    assert "was verified already" in verify("kite.example")
    domain.refresh_from_db()
    assert domain.is_verified


def test_of_several_claims_one_is_chosen(house: House, stranger: House) -> None:
    add_domain(house.as_key, "kite.example")
    theirs = add_domain(stranger.as_key, "kite.example")
    with pytest.raises(CommandError, match="choose with --organisation"):
        verify("kite.example")
    verify("kite.example", "--organisation", "Stranger")
    theirs.refresh_from_db()
    assert theirs.is_verified
    with pytest.raises(CommandError, match="proven by another"):
        verify("kite.example", "--organisation", str(house.organisation.pk))


@pytest.mark.parametrize("name", ["nobody.example", "no domain"])
def test_what_nobody_added_is_refused(name: str, db: None) -> None:
    with pytest.raises(CommandError):
        verify(name)
