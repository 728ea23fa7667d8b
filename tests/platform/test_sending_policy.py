"""What an operator decides for an organisation is what its mail is sent by."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.outbound.errors import QuotaReached
from apps.outbound.models import SendingPolicy
from tests.outbound.sending import send
from tests.people import House


def decide(*arguments: str) -> str:
    out = StringIO()
    call_command("sending_policy", *arguments, stdout=out)
    return out.getvalue()


def test_what_is_named_is_set_and_the_rest_stays(house: House) -> None:
    decide(house.organisation.name, "--encrypted-archives", "reject", "--uncertain-retry-after", "90")
    shown = decide(str(house.organisation.pk), "--recipients-per-day-of-user", "2")
    policy = SendingPolicy.objects.get(pk=house.organisation.pk)
    assert policy.encrypted_archives == "reject"
    assert policy.uncertain_retry_after == timedelta(minutes=90)
    assert policy.delay_told_after == timedelta(hours=4)
    assert "uncertain_retry_after       1:30:00" in shown
    assert "recipients_per_day          none" in shown


def test_a_quota_holds_and_0_takes_it_away(house: House) -> None:
    decide(house.organisation.name, "--recipients-per-day-of-user", "1")
    send(house.as_alice, "one@x.example")
    with pytest.raises(QuotaReached):
        send(house.as_alice, "two@x.example")
    decide(house.organisation.name, "--recipients-per-day-of-user", "0", "--uncertain-retry-after", "0")
    send(house.as_alice, "two@x.example")
    assert SendingPolicy.objects.get().uncertain_retry_after is None


def test_showing_it_sets_nothing(house: House) -> None:
    assert "encrypted_archives          allow" in decide(house.organisation.name)
    assert not SendingPolicy.objects.exists()


@pytest.mark.parametrize("arguments", [("Nobody",), ("House", "--recipients-per-day", "-1")])
def test_what_cannot_be_meant_is_told(house: House, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        decide(*arguments)
    assert not SendingPolicy.objects.exists()
