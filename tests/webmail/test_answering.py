"""Whom an answer to everybody goes to, and whom it leaves out."""

import pytest

from apps.mailboxes.models import OwnedAddress
from apps.webmail.answering import recipients_of_answer
from tests.arrivals import arrive
from tests.people import House


@pytest.mark.django_db
def test_everybody_is_answered_but_ourselves_under_any_name_and_what_takes_no_answers(house: House) -> None:
    OwnedAddress.objects.create(
        organisation=house.organisation, mailbox=house.support, address="help@house.test"
    )
    cc = "Petra <petra@contoso.example>, help+7@house.test, No-Reply@shop.example, nora@shop.example, bob@house.test"
    message = arrive(house.support, headers={"Cc": cc})
    answer = recipients_of_answer(house.support, message)
    assert answer.to == ["Elena Marsh <elena@customer.example>"]
    assert answer.everybody == ["Petra <petra@contoso.example>", "nora@shop.example", "bob@house.test"]
    assert [one.lower() for one in answer.left_out] == [
        "support@house.test",
        "help+7@house.test",
        "no-reply@shop.example",
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "local", ["noreply", "no_reply", "donotreply", "do-not-reply", "no-reply-billing", "mailer-daemon"]
)
def test_these_take_no_answers(house: House, local: str) -> None:
    message = arrive(house.support, headers={"Cc": f"{local}@shop.example"})
    assert recipients_of_answer(house.support, message).everybody == []


@pytest.mark.django_db
@pytest.mark.parametrize("local", ["nora", "reply", "noreplies", "notary"])
def test_these_are_people(house: House, local: str) -> None:
    message = arrive(house.support, headers={"Cc": f"{local}@shop.example"})
    assert recipients_of_answer(house.support, message).left_out == ["support@house.test"]
