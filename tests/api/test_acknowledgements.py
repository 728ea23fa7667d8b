"""Acknowledgements over REST: switched on, and told what became of them."""

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.automation.models import Acknowledgement
from apps.tickets.models import Ticket
from tests.api.client import Api
from tests.automation.acknowledging import acknowledge_all, arrive_by_envelope
from tests.people import House


def path(house: House) -> str:
    return f"/mailboxes/{house.support.pk}/acknowledgement"


def test_an_admin_switches_it_on_in_words_of_their_own(house: House, api: Api) -> None:
    assert api.get(path(house)).json()["is_on"] is False
    told = api.patch(path(house), {"is_on": True, "text": "It is #{number}."}).json()
    assert (told["is_on"], told["text"], told["mailbox"]) == (True, "It is #{number}.", str(house.support.pk))
    assert api.get(path(house)).json() == told
    assert api.patch(path(house), {"is_on": False}).json()["on_since"] is None


def test_an_agent_may_look_and_not_touch(house: House, api: Api) -> None:
    _key, secret = create_api_key(house.organisation, name="alice's", role=Role.AGENT, user=house.alice)
    agent = Api.of(secret)
    assert agent.get(path(house)).status_code == 200
    assert agent.patch(path(house), {"is_on": True}).status_code == 404
    assert api.get(path(house)).json()["is_on"] is False


@pytest.mark.parametrize(("body", "field"), [({"text": " "}, "text"), ({"on": True}, "on")])
def test_what_cannot_be_names_its_field(house: House, api: Api, body: dict[str, object], field: str) -> None:
    answer = api.patch(path(house), body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.django_db(transaction=True)
def test_a_ticket_tells_what_became_of_its_acknowledgement(house: House) -> None:
    api = Api.of(house.secret)
    arrive_by_envelope(house.support)
    ticket = Ticket.objects.get()
    assert api.get(f"/tickets/{ticket.pk}").json()["acknowledgement"] is None
    api.patch(path(house), {"is_on": True})
    arrive_by_envelope(house.support, message_id="b@x.example")
    arrive_by_envelope(house.support, message_id="c@x.example", envelope_sender="")
    acknowledge_all(timezone.now())
    sent, withheld = Ticket.objects.filter(number__gt=1).order_by("number")
    told = api.get(f"/tickets/{sent.pk}").json()["acknowledgement"]
    answer = Acknowledgement.objects.get(ticket=sent).answer
    assert answer is not None
    assert (told["state"], told["message"], told["because"]) == ("sent", str(answer.pk), "")
    told = api.get(f"/tickets/{withheld.pk}").json()["acknowledgement"]
    assert (told["state"], told["because"]) == ("withheld", "null_sender")
    assert told["reason"] == "Its envelope names no sender, as of a bounce or a notice."
