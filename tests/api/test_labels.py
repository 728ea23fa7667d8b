"""Labels over REST: made, changed by admins, put on tickets and taken off."""

from typing import Any

import pytest

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.mailboxes.labels import create_label, labels_by_thread
from apps.mailboxes.models import Label
from apps.tickets.models import Ticket
from tests.api.client import Api
from tests.arrivals import arrive
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin(house: House) -> Api:
    return Api.of(house.secret)


@pytest.fixture
def agent(house: House) -> Api:
    _key, secret = create_api_key(house.organisation, name="agent", role=Role.AGENT, user=house.alice)
    return Api.of(secret)


def names(answer: Any) -> list[str]:
    return [one["name"] for one in answer.json()["results"]]


def test_a_label_is_made_once_changed_and_deleted(admin: Api) -> None:
    made = admin.post("/labels", {"name": "VIP", "colour": "purple"})
    assert made.status_code == 201
    label = made.json()
    assert admin.post("/labels", {"name": "vip"}).json() == label
    assert admin.patch(f"/labels/{label['id']}", {"name": "Very important"}).json() == {
        **label,
        "name": "Very important",
    }
    assert admin.get(f"/labels/{label['id']}").json()["colour"] == "purple"
    admin.post("/labels", {"name": "Late"})
    assert names(admin.get("/labels")) == ["Late", "Very important"]
    assert admin.delete(f"/labels/{label['id']}").status_code == 204
    assert admin.delete(f"/labels/{label['id']}").status_code == 404


def test_an_agent_makes_labels_and_puts_them_on_tickets_but_deletes_none(
    house: House, agent: Api, admin: Api
) -> None:
    thread = arrive(house.support).thread_id
    on_ticket = f"/tickets/{Ticket.objects.get().pk}/labels"
    label = agent.post("/labels", {"name": "VIP"}).json()
    assert names(agent.post(on_ticket, {"id": label["id"]})) == ["VIP"]
    assert names(agent.post(on_ticket, {"name": "Late"})) == ["Late", "VIP"]
    assert names(agent.get(on_ticket)) == ["Late", "VIP"]
    assert len(agent.get("/tickets?q=label:vip").json()["results"]) == 1
    assert agent.get(f"{on_ticket}/{label['id']}").json() == label
    assert agent.delete(f"{on_ticket}/{label['id']}").status_code == 204
    assert agent.get(f"{on_ticket}/{label['id']}").status_code == 404
    assert [one.name for one in labels_by_thread(house.support, [thread])[thread]] == ["Late"]
    assert agent.patch(f"/labels/{label['id']}", {"name": "Mine"}).status_code == 403
    assert agent.delete(f"/labels/{label['id']}").status_code == 403
    assert Label.objects.count() == 2


def test_bad_input_names_its_field(house: House, admin: Api) -> None:
    arrive(house.support)
    on_ticket = f"/tickets/{Ticket.objects.get().pk}/labels"
    for path, body, field in (
        ("/labels", {"name": " "}, "name"),
        ("/labels", {"name": "x", "colour": "pink"}, "colour"),
        ("/labels", {"name": "x", "tint": "red"}, "tint"),
        (on_ticket, {}, "id"),
        (on_ticket, {"id": "x"}, "id"),
    ):
        answer = admin.post(path, body)
        assert answer.status_code == 422, body
        assert [one["field"] for one in answer.json()["errors"]] == [field]


def test_a_label_and_a_ticket_of_two_houses_never_meet(house: House, stranger: House, admin: Api) -> None:
    arrive(house.support)
    arrive(stranger.support, to="support@stranger.test")
    theirs = create_label(stranger.as_alice, "Theirs")
    own, their_ticket = (Ticket.objects.get(organisation=one.organisation) for one in (house, stranger))
    assert admin.post(f"/tickets/{own.pk}/labels", {"id": str(theirs.pk)}).status_code == 404
    assert admin.post(f"/tickets/{their_ticket.pk}/labels", {"name": "Ours"}).status_code == 404
    assert not Label.objects.filter(organisation=house.organisation).exists()
