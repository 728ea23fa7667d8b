"""`manage.py receiving_policy`: shown, changed, refused."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.tickets.models import ReceivingPolicy
from tests.people import House


def run(*words: str) -> str:
    out = StringIO()
    call_command("receiving_policy", *words, stdout=out)
    return out.getvalue()


def test_without_options_it_shows_what_holds(house: House) -> None:
    told = run("House")
    assert "forbidden_files   hold" in told
    assert "dmarc             obey" in told
    assert not ReceivingPolicy.objects.exists(), "looking changes nothing"


def test_what_is_named_changes_and_the_rest_stays(house: House) -> None:
    run(str(house.organisation.pk), "--dmarc", "reject_only")
    run("House", "--spam", "allow")
    policy = ReceivingPolicy.objects.get()
    assert (policy.dmarc, policy.spam, policy.forbidden_files) == ("reject_only", "allow", "hold")


def test_an_unknown_organisation_is_told_who_is_known(house: House) -> None:
    with pytest.raises(CommandError, match="Known: House"):
        run("Mouse")
