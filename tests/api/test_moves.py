"""Merging, splitting and moving over REST."""

import uuid

import pytest

from apps.mailboxes.models import MailboxKind, Message
from apps.mailboxes.services import create_mailbox
from apps.tickets.models import Ticket
from tests.api.client import Api
from tests.arrivals import arrive
from tests.people import House


@pytest.fixture
def api(house: House) -> Api:
    """#1 with two messages, #2 with one."""
    arrive(house.support, message_id="a@x")
    arrive(house.support, message_id="aa@x", headers={"In-Reply-To": "<a@x>"})
    arrive(house.support, message_id="b@x", subject="Pumps")
    return Api.of(house.secret)


def ticket_id(number: int) -> str:
    return str(Ticket.objects.get(number=number).pk)


def message_id(name: str) -> str:
    return str(Message.objects.get(rfc_message_id=name).pk)


def held(api: Api, number: int) -> list[str]:
    return [one["message_id"] for one in api.get(f"/tickets/{ticket_id(number)}").json()["messages"]]


def test_a_ticket_is_merged_and_that_is_taken_back(api: Api) -> None:
    move = api.post(f"/tickets/{ticket_id(1)}/merge", {"into": ticket_id(2)}).json()
    assert (move["kind"], move["to_ticket"]) == ("merged", ticket_id(2))
    assert held(api, 2) == ["a@x", "aa@x", "b@x"]
    merged = api.get(f"/tickets/{ticket_id(1)}").json()
    assert (merged["merged_into"], merged["state"]) == (ticket_id(2), "solved")
    assert [one["id"] for one in merged["moves"]] == [move["id"]]
    path = f"/tickets/{ticket_id(2)}/moves/{move['id']}/undo"
    assert api.post(path).json()["undone_at"]
    assert held(api, 1) == ["a@x", "aa@x"]
    assert api.post(path).json()["code"] == "not_possible_now"


def test_a_message_is_split_off_and_moved_on(api: Api) -> None:
    split = api.post(f"/tickets/{ticket_id(1)}/split", {"message": message_id("aa@x")}).json()
    assert (split["kind"], held(api, 3)) == ("split", ["aa@x"])
    body = {"message": message_id("aa@x"), "into": ticket_id(2)}
    moved = api.post(f"/tickets/{ticket_id(3)}/move", body).json()
    assert moved["kind"] == "merged", "it was all there was"
    assert held(api, 2) == ["aa@x", "b@x"]
    message = api.get(f"/messages/{message_id('aa@x')}").json()
    assert message["ticket"] == ticket_id(2)
    assert (message["filed_rule"], message["new_participant"]) == ("moved", False)
    assert message["filed_because"] == "tests moved it here from #3."


@pytest.mark.parametrize("road", ["merge", "move"])
def test_what_is_wrong_is_named(api: Api, stranger: House, road: str) -> None:
    arrive(stranger.support)
    foreign = str(Ticket.objects.get(organisation=stranger.organisation).pk)
    more = {"message": message_id("aa@x")} if road == "move" else {}
    house_ticket = str(Ticket.objects.exclude(organisation=stranger.organisation).get(number=1).pk)
    for into in (foreign, str(uuid.uuid4()), house_ticket, "x"):
        answer = api.post(f"/tickets/{house_ticket}/{road}", {"into": into, **more})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "into")
    assert api.post(f"/tickets/{foreign}/{road}", {"into": house_ticket, **more}).status_code == 404


def test_who_would_move_mail_to_another_mailbox_is_told_why_not(api: Api, house: House) -> None:
    sales = create_mailbox(
        house.organisation,
        address="sales@house.test",
        name="Sales",
        kind=MailboxKind.SHARED,
        members=[house.alice],
    )
    arrive(sales, message_id="c@x")
    body = {"message": message_id("aa@x"), "into": ticket_id(3)}
    for road in ("move", "merge"):
        answer = api.post(
            f"/tickets/{ticket_id(1)}/{road}", body if road == "move" else {"into": ticket_id(3)}
        )
        [told] = answer.json()["errors"]
        assert (answer.status_code, told["field"]) == (422, "into")
        assert "#3 is a ticket of another mailbox, Sales." in told["detail"]
        assert "forward it" in told["detail"]
    assert held(api, 1) == ["a@x", "aa@x"]


def test_a_message_that_is_elsewhere_is_a_conflict(api: Api) -> None:
    body = {"message": message_id("b@x")}
    assert api.post(f"/tickets/{ticket_id(1)}/split", body).status_code == 409


def test_a_customers_tickets_are_asked_for_by_address(api: Api, house: House) -> None:
    arrive(house.support, sender="bo@else.example", message_id="c@x")
    found = api.get("/tickets?requester=ELENA@customer.example").json()["results"]
    assert [one["number"] for one in found] == [2, 1]
    assert api.get("/tickets?requester=nobody@x.example").json()["results"] == []
