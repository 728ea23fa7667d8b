"""How a mailbox writes, changed over REST."""

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.tickets.models import Ticket
from tests.api.client import Api
from tests.arrivals import arrive
from tests.people import House


def test_an_admin_has_answers_ask_for_an_address_that_names_them(house: House) -> None:
    api = Api.of(house.secret)
    path = f"/mailboxes/{house.support.pk}"
    assert api.get(path).json()["reply_tokens"] is False
    assert api.patch(path, {"reply_tokens": True}).json()["reply_tokens"] is True
    arrive(house.support)
    ticket = Ticket.objects.get()
    answer = api.post(f"/tickets/{ticket.pk}/replies", {"text": "Hello"}).json()
    [asked] = api.get(f"/messages/{answer['id']}").json()["reply_to"]
    token = answer["message_id"].partition("@")[0]
    assert asked["address"] == f"support+t.{token}@house.test"


def test_an_agent_may_see_it_and_not_change_it(house: House) -> None:
    _key, secret = create_api_key(house.organisation, name="agent", role=Role.AGENT, user=house.alice)
    api = Api.of(secret)
    path = f"/mailboxes/{house.support.pk}"
    assert api.get(path).status_code == 200
    assert api.patch(path, {"reply_tokens": True}).json()["code"] == "admins_only"
    assert api.patch(path, {"reply_token": True}).status_code == 422
