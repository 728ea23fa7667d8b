"""How a mailbox writes, its addresses, and what is held, changed over REST."""

from pytest_django import DjangoAssertNumQueries

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.mailboxes.aliases import add_alias
from apps.tickets.models import Ticket
from tests.api.client import Api
from tests.arrivals import arrive
from tests.people import House


def agent_of(house: House) -> Api:
    """Called with Alice's own key."""
    _key, secret = create_api_key(house.organisation, name="agent", role=Role.AGENT, user=house.alice)
    return Api.of(secret)


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
    api = agent_of(house)
    path = f"/mailboxes/{house.support.pk}"
    assert api.get(path).status_code == 200
    assert api.patch(path, {"reply_tokens": True}).json()["code"] == "admins_only"
    assert api.patch(path, {"reply_token": True}).status_code == 422


def test_aliases_are_given_listed_and_taken_away(house: House, api: Api) -> None:
    path = f"/mailboxes/{house.support.pk}"
    made = api.post(f"{path}/aliases", {"address": "Sales@house.test"})
    assert made.status_code == 201
    assert made.json()["address"] == "sales@house.test"
    assert api.get(path).json()["aliases"] == [made.json()]
    refused = api.post(f"{path}/aliases", {"address": "sales@elsewhere.test"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "address"
    assert agent_of(house).post(f"{path}/aliases", {"address": "help@house.test"}).status_code == 403
    assert agent_of(house).get(path).json()["aliases"] == [made.json()]
    alias = f"{path}/aliases/{made.json()['id']}"
    assert api.get(alias).json() == made.json()
    assert agent_of(house).delete(alias).status_code == 403
    assert api.delete(alias).status_code == 204
    assert api.delete(alias).status_code == 404


def test_listing_mailboxes_asks_for_all_aliases_at_once(
    house: House, api: Api, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for mailbox in (house.support, house.alices, house.bobs):
        add_alias(house.as_key, mailbox, f"also-{mailbox.address}")
    with django_assert_max_num_queries(4):
        listed = api.get("/mailboxes").json()["results"]
    assert sum(len(one["aliases"]) for one in listed) == 3


def test_what_is_held_is_told_and_changed_by_admins(house: House, api: Api) -> None:
    path = "/receiving-policy"
    told = {"forbidden_files": "hold", "locked_archives": "allow", "spam": "hold", "dmarc": "obey"}
    assert api.get(path).json() == agent_of(house).get(path).json() == told
    assert api.patch(path, {"dmarc": "ignore"}).json() == told | {"dmarc": "ignore"}
    assert api.get(path).json()["dmarc"] == "ignore"
    assert agent_of(house).patch(path, {"spam": "allow"}).status_code == 403
    assert api.patch(path, {"spam": "burn"}).json()["errors"][0]["field"] == "spam"
    assert api.patch(path, {"viruses": "allow"}).status_code == 422
