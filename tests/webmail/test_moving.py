"""Moving in a browser: what is answered, to whom, and to whom not."""

import pytest
from django.test import Client
from django.utils import timezone

from apps.automation.models import Acknowledgement
from apps.events.models import Event
from apps.mailboxes.models import Message
from apps.tickets.models import Ticket, TicketMove
from tests.arrivals import arrive
from tests.people import House
from tests.webmail.conftest import browser_of


@pytest.fixture
def two(house: House) -> House:
    arrive(house.support, message_id="a@x")
    arrive(house.support, message_id="aa@x", headers={"In-Reply-To": "<a@x>"})
    arrive(house.support, message_id="b@x", subject="Pumps", sender="bo@else.example")
    return house


def ticket(number: int) -> Ticket:
    return Ticket.objects.get(number=number)


def test_a_message_is_moved_and_put_back(two: House, alice: Client) -> None:
    message = Message.objects.get(rfc_message_id="aa@x")
    body = {"message": message.pk, "into": ticket(2).pk}
    told = alice.post(f"/tickets/{ticket(1).pk}/move/", body).json()
    assert (told["sentence"], told["moved"]) == ("Moved to #2", str(message.pk))
    assert alice.post(told["undo_url"]).json() == {"sentence": "Put back."}
    again = alice.post(told["undo_url"])
    assert (again.status_code, again.json()["detail"]) == (409, "This was taken back already.")


def test_whoever_looks_at_what_was_merged_is_led_on(two: House, alice: Client) -> None:
    told = alice.post(f"/tickets/{ticket(1).pk}/move/", {"into": ticket(2).pk}).json()
    old = f"/m/{two.support.pk}/inbox/{ticket(1).thread_id}/"
    assert told["next_url"] == f"/m/{two.support.pk}/inbox/{ticket(2).thread_id}/"
    assert alice.get(old).headers["Location"] == told["next_url"]


def test_the_mover_offers_the_customers_tickets_and_finds_others(two: House, alice: Client) -> None:
    arrive(two.support, message_id="c@x", subject="A second one")
    url = f"/tickets/{ticket(1).pk}/mover/"
    assert [one.number for one in alice.get(url).context["tickets"]] == [3]
    assert [one.number for one in alice.get(f"{url}?q=%232").context["tickets"]] == [2]
    assert [one.number for one in alice.get(f"{url}?q=pumps").context["tickets"]] == [2]
    assert list(alice.get(f"{url}?q=%231").context["tickets"]) == [], "not into itself"
    assert "by being forwarded there" in alice.get(f"{url}?q=%2399").content.decode()


def test_what_is_missing_or_wrong_is_said(two: House, alice: Client) -> None:
    assert alice.post(f"/tickets/{ticket(1).pk}/move/", {}).status_code == 422
    assert alice.post(f"/tickets/{ticket(1).pk}/split/", {}).status_code == 422
    assert alice.post(f"/tickets/{ticket(1).pk}/move/", {"into": "x"}).status_code == 404
    assert alice.post(f"/tickets/{ticket(1).pk}/move/", {"into": ticket(1).pk}).status_code == 422
    only = Message.objects.get(rfc_message_id="b@x")
    refused = alice.post(f"/tickets/{ticket(2).pk}/split/", {"message": only.pk})
    assert (refused.status_code, "only message" in refused.json()["detail"]) == (409, True)


def test_nothing_goes_into_somebody_elses_ticket_or_comes_out_of_it(
    two: House, alice: Client, stranger: House
) -> None:
    arrive(stranger.support)
    foreign = Ticket.objects.get(organisation=stranger.organisation)
    mine = Ticket.objects.get(organisation=two.organisation, number=1)
    assert alice.post(f"/tickets/{mine.pk}/move/", {"into": foreign.pk}).status_code == 404
    assert alice.post(f"/tickets/{foreign.pk}/move/", {"into": mine.pk}).status_code == 404
    target = Ticket.objects.get(organisation=two.organisation, number=2)
    told = alice.post(f"/tickets/{mine.pk}/move/", {"into": target.pk}).json()
    assert browser_of(stranger.admin).post(told["undo_url"]).status_code == 404
    assert TicketMove.objects.get().undone_at is None


def test_why_nobody_was_acknowledged_stands_in_the_history(two: House, alice: Client) -> None:
    Acknowledgement.objects.create(
        organisation=two.organisation,
        ticket=ticket(1),
        event=Event.objects.filter(kind="ticket.opened")[0],
        opened_by=Message.objects.get(rfc_message_id="a@x"),
        state="withheld",
        because="from_a_list",
        created_at=timezone.now(),
        finished_at=timezone.now(),
    )
    page = alice.get(f"/m/{two.support.pk}/inbox/{ticket(1).thread_id}/").content.decode()
    assert "No acknowledgement was sent. It came from a mailing list or a newsletter." in page
