"""Sending over REST: what is accepted, told of its recipients, repeated, taken back and tried again."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from django.utils import timezone
from rest_framework.serializers import ListSerializer

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.api.serializers.messages import NewMessageSerializer
from apps.mailboxes.models import Message
from apps.outbound.causes import Cause
from apps.outbound.models import Delivery, DeliveryState
from apps.tickets.models import Ticket
from tests.api.client import Api
from tests.arrivals import arrive
from tests.people import House

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HELLO = {"from": "Support <support@house.test>", "to": ["Elena <elena@customer.example>"], "text": "Hello"}


def send(api: Api, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    answer = api.post("/messages", HELLO | (body or {}), **headers)
    assert answer.status_code == 202, answer.content
    told: dict[str, Any] = answer.json()
    return told


def fail(delivery_id: str) -> None:
    """As a relay's refusal would leave it."""
    Delivery.objects.filter(pk=delivery_id).update(
        state=DeliveryState.FAILED,
        cause=Cause.RECIPIENT_REFUSED,
        reason="550 5.1.1 No such user",
        due_at=None,
        finished_at=timezone.now(),
    )


def test_each_recipient_is_told_of(house: House, api: Api) -> None:
    told = send(
        api,
        {
            "to": ["Elena <elena@customer.example>", "bob@house.test"],
            "cc": ["nobody@house.test"],
            "bcc": ["hidden@customer.example"],
            "subject": "Grüße",
            "attachments": [
                {
                    "filename": "a.txt",
                    "content": base64.encodebytes(b"a" * 100).decode(),
                    "content_type": "text/plain",
                }
            ],
            "tags": ["order"],
            "metadata": {"order": 7},
        },
    )
    by_recipient = {row["recipient"]: row for row in told["deliveries"]}
    assert {address: (row["route"], row["state"]) for address, row in by_recipient.items()} == {
        "elena@customer.example": ("relay", "queued"),
        "bob@house.test": ("local", "delivered"),
        "nobody@house.test": ("local", "failed"),
        "hidden@customer.example": ("relay", "queued"),
    }
    assert "5.1.1" in by_recipient["nobody@house.test"]["reason"]
    assert by_recipient["nobody@house.test"]["next_attempt_at"] is None
    assert by_recipient["elena@customer.example"]["next_attempt_at"] is not None
    message = api.get(f"/messages/{told['id']}").json()
    assert message["message_id"] == told["message_id"]
    assert message["subject"] == "Grüße"
    assert message["from"] == {"name": "Support", "address": "support@house.test"}
    assert message["bcc"] == [{"name": "", "address": "hidden@customer.example"}]
    assert (message["tags"], message["metadata"]) == (["order"], {"order": 7})
    assert api.get(message["attachments"][0]["url"]).content == b"a" * 100
    assert {row["state"] for row in message["deliveries"]} == {"queued", "delivered", "failed"}


def test_mail_within_the_house_is_readable_when_the_answer_is_back(house: House, api: Api) -> None:
    told = send(
        api, {"to": ["support@house.test"], "from": "alice@house.test", "subject": "A broken printer"}
    )
    assert (told["state"], told["deliveries"][0]["route"]) == ("delivered", "local")
    found = api.get(f"/mailboxes/{house.support.pk}/messages?folder=inbox&q=printer").json()["results"]
    assert [row["id"] for row in found] == [told["id"]]
    assert found[0]["direction"] == "local"
    ticket = api.get(f"/tickets/{found[0]['ticket']}").json()
    assert ticket["subject"] == "A broken printer"


def test_a_recipient_learns_nothing_of_the_senders_side(house: House, api: Api) -> None:
    told = send(
        api,
        {
            "from": "alice@house.test",
            "to": ["bob@house.test"],
            "bcc": ["hidden@customer.example"],
            "tags": ["private"],
            "metadata": {"note": "private"},
        },
    )
    _key, secret = create_api_key(house.organisation, name="bob's", role=Role.AGENT, user=house.bob)
    bob = Api.of(secret)
    answer = bob.get(f"/messages/{told['id']}")
    message = answer.json()
    assert message["state"] == "filed"
    assert not {"bcc", "deliveries"} & message.keys()
    assert b"hidden" not in answer.content
    assert b"private" not in answer.content
    events = bob.get(f"/messages/{told['id']}/events")
    assert all(event["delivery"] is None for event in events.json()["results"])
    assert [row["id"] for row in bob.get("/messages?state=filed").json()["results"]] == [told["id"]]
    assert bob.get("/messages?state=queued").json()["results"] == []
    assert bob.get("/messages?q=hidden").json()["results"] == []
    assert bob.get("/errors").json()["results"] == []
    assert bob.get("/queue").json()["depth"] == 0
    assert bob.post(f"/messages/{told['id']}/cancel").status_code == 404
    assert bob.post(f"/messages/{told['id']}/retry").status_code == 404


def test_a_repeated_request_is_answered_again_and_sends_nothing(house: House, api: Api) -> None:
    first = send(api, Idempotency_Key="order-7")
    assert send(api, Idempotency_Key="order-7") == first
    assert Message.objects.count() == 1
    answer = api.post("/messages", HELLO | {"text": "Other"}, Idempotency_Key="order-7")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
    assert send(api, Idempotency_Key="order-8")["id"] != first["id"]


def test_what_is_held_can_be_taken_back_once(house: House, api: Api) -> None:
    told = send(api, {"hold_seconds": 600})
    assert told["state"] == "scheduled"
    assert "undo" in told["deliveries"][0]["reason"]
    cancelled = api.post(f"/messages/{told['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    again = api.post(f"/messages/{told['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "not_possible_now")


def test_a_scheduled_message_waits_for_its_time(house: House, api: Api) -> None:
    at = timezone.now().replace(microsecond=0) + timedelta(days=2)
    told = send(api, {"send_at": at.isoformat()})
    assert told["deliveries"][0]["state"] == "scheduled"
    assert told["deliveries"][0]["next_attempt_at"] == at.isoformat().replace("+00:00", "Z")


def test_the_error_queue_is_listed_resubmitted_and_discarded(house: House, api: Api) -> None:
    told = send(api, {"to": ["a@customer.example", "b@customer.example"], "subject": "Failing"})
    for delivery in told["deliveries"]:
        fail(delivery["id"])
    errors = api.get("/errors").json()["results"]
    assert {row["id"] for row in errors} == {row["id"] for row in told["deliveries"]}
    assert (errors[0]["subject"], errors[0]["message"]) == ("Failing", told["id"])
    assert "No such user" in errors[0]["reason"]
    first, second = errors
    assert api.post(f"/errors/{first['id']}/resubmit").json()["state"] == "queued"
    assert api.post(f"/errors/{second['id']}/discard").json()["state"] == "failed"
    assert api.get("/errors").json()["results"] == []
    for row in errors:
        for verb in ("resubmit", "discard"):
            assert api.post(f"/errors/{row['id']}/{verb}").status_code == 409


def test_a_failed_message_is_tried_again(house: House, api: Api) -> None:
    told = send(api)
    fail(told["deliveries"][0]["id"])
    answer = api.post(f"/messages/{told['id']}/retry")
    assert (answer.status_code, answer.json()["deliveries"][0]["state"]) == (200, "queued")


def test_the_queue_is_told_in_figures(house: House, api: Api) -> None:
    send(api, {"to": ["a@one.example", "b@one.example", "c@two.example"]})
    send(api, {"hold_seconds": 600})
    told = api.get("/queue").json()
    assert told["depth"] == 3
    assert told["by_state"] == {"queued": 3, "scheduled": 1}
    assert [(row["domain"], row["depth"]) for row in told["by_destination"]] == [
        ("one.example", 2),
        ("two.example", 1),
    ]
    assert told["workers"] == {"busy": 0, "total": 0}


def test_a_ticket_is_answered(house: House, api: Api) -> None:
    arrive(house.support)
    ticket = Ticket.objects.get()
    body = {"text": "We refund it.", "state": "solved"}
    answer = api.post(f"/tickets/{ticket.pk}/replies", body, Idempotency_Key="answer-1")
    assert answer.status_code == 202
    assert [row["recipient"] for row in answer.json()["deliveries"]] == ["elena@customer.example"]
    repeated = api.post(f"/tickets/{ticket.pk}/replies", body, Idempotency_Key="answer-1")
    assert repeated.json() == answer.json()
    told = api.get(f"/tickets/{ticket.pk}").json()
    assert told["state"] == "solved"
    assert [row["direction"] for row in told["messages"]] == ["in", "out"]
    assert told["messages"][1]["subject"] == "Re: Invoice 20931 charged twice"


@pytest.mark.parametrize("body", [{}, {"text": " "}, {"html": ""}])
def test_an_empty_answer_is_refused(house: House, api: Api, body: dict[str, str]) -> None:
    arrive(house.support)
    answer = api.post(f"/tickets/{Ticket.objects.get().pk}/replies", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "text")


def test_a_page_of_sent_messages_takes_few_queries(
    house: House, api: Api, django_assert_max_num_queries: object
) -> None:
    for n in range(12):
        send(api, {"to": [f"{n}@customer.example", f"{n}@other.example"]})
    for path in ("/messages", f"/mailboxes/{house.support.pk}/messages?folder=outbox"):
        with django_assert_max_num_queries(10):  # type: ignore[operator]
            assert len(api.get(path).json()["results"]) == 12


def test_nothing_of_a_request_stays_behind_in_the_fields_that_requests_share(api: Api) -> None:
    attachment = {"filename": "a.txt", "content": base64.b64encode(b"content").decode()}
    send(api, {"attachments": [attachment]})
    attachments = cast("ListSerializer[Any]", NewMessageSerializer().fields["attachments"])
    assert attachments is NewMessageSerializer().fields["attachments"]
    assert not hasattr(attachments, "initial_data")
    assert not hasattr(attachments.child, "initial_data")
