"""An integrator's walk: mail comes in over SMTP, is read and answered over REST, and the answer leaves over SMTP."""

from collections.abc import Iterator

import pytest

from apps.inbound.ingest import ingest_due
from apps.inbound.limits import Limits
from apps.mime.parse import parse
from tests.api.client import Api
from tests.inbound.listening import Listening
from tests.inbound.wire import RawClient
from tests.mail import raw_mail
from tests.outbound.sending import drain
from tests.people import House
from tests.remote.script import Phase, refuse
from tests.remote.server import RemoteServer


@pytest.fixture
def smtp_port(transactional_db: None) -> Iterator[int]:
    listening = Listening(Limits())
    yield listening.port
    listening.stop()


def mail_in(port: int, raw: bytes, recipient: str) -> None:
    """Hand a mail over SMTP, and do what the worker would do with it."""
    with RawClient(port) as client:
        assert client.sends(raw, recipient).startswith("250")
    assert ingest_due(limit=10, seconds=10) == 1


def test_a_customers_question_is_answered_over_rest(
    smtp_port: int, house: House, relay: RemoteServer
) -> None:
    api = Api.of(house.secret)
    question = raw_mail(text="Hello,\r\nour card was charged twice.\r\n")
    mail_in(smtp_port, question, "support@house.test")

    listed = api.get("/tickets?state=open").json()["results"]
    assert [row["subject"] for row in listed] == ["Invoice 20931 charged twice"]
    ticket = api.get(f"/tickets/{listed[0]['id']}").json()
    asked = api.get(f"/messages/{ticket['messages'][0]['id']}").json()
    assert asked["new_text"].splitlines() == ["Hello,", "our card was charged twice."]
    assert api.get(f"/messages/{asked['id']}/raw").content == question

    body = {"text": "We refund it today.", "state": "pending"}
    accepted = api.post(f"/tickets/{ticket['id']}/replies", body, Idempotency_Key="refund-20931")
    assert accepted.status_code == 202
    again = api.post(f"/tickets/{ticket['id']}/replies", body, Idempotency_Key="refund-20931")
    assert again.json() == accepted.json()
    answer = api.get(f"/messages/{accepted.json()['id']}").json()
    assert [entry["folder"] for entry in answer["entries"]] == ["outbox"]
    assert api.get("/queue").json()["depth"] == 1

    drain()

    [taken] = relay.messages
    assert taken.sender.startswith("bounce+") and taken.sender.endswith("@house.test")
    assert taken.recipients == ("elena@customer.example",)
    assert taken.content == api.get(f"/messages/{answer['id']}/raw").content
    assert parse(taken.content).in_reply_to == ("first@customer.example",)
    sent = api.get(f"/messages/{answer['id']}").json()
    assert (sent["state"], [entry["folder"] for entry in sent["entries"]]) == ("sent", ["sent"])
    assert [row["state"] for row in sent["deliveries"]] == ["sent"]
    kinds = [event["kind"] for event in api.get(f"/messages/{answer['id']}/events").json()["results"]]
    assert kinds[0] == "delivery.sent"
    assert kinds[-1] == "message.submitted"
    queue = api.get("/queue").json()
    assert (queue["depth"], queue["by_state"]) == (0, {"sent": 1})
    assert [(row["sent"], row["waiting"]) for row in queue["by_relay"]] == [(1, 0)]

    thanks = raw_mail(
        message_id="thanks@customer.example",
        subject="Re: Invoice 20931 charged twice",
        text="Thank you!\r\n",
        headers={"In-Reply-To": f"<{answer['message_id']}>"},
    )
    mail_in(smtp_port, thanks, "support@house.test")
    ticket = api.get(f"/tickets/{ticket['id']}").json()
    assert ticket["state"] == "open"
    assert [row["direction"] for row in ticket["messages"]] == ["in", "out", "in"]
    assert ticket["messages"][2]["snippet"] == "Thank you!"


def test_a_refusal_is_found_in_the_error_queue_and_sent_again(house: House, relay: RemoteServer) -> None:
    api = Api.of(house.secret)
    relay.play(Phase.RCPT, refuse(550, "5.1.1 No such user"))
    body = {"from": "support@house.test", "to": ["elena@customer.example"], "text": "Hello"}
    message = api.post("/messages", body).json()
    drain()

    [error] = api.get("/errors").json()["results"]
    assert (error["message"], error["state"], error["recipient"]) == (
        message["id"],
        "failed",
        "elena@customer.example",
    )
    assert "No such user" in error["reason"]
    assert api.get("/messages?state=failed").json()["results"][0]["id"] == message["id"]

    relay.forget_script()
    assert api.post(f"/errors/{error['id']}/resubmit").json()["state"] == "queued"
    drain()
    assert api.get("/errors").json()["results"] == []
    assert relay.taken_by_recipient == {"elena@customer.example": 1}
    assert parse(relay.messages[0].content).message_id == message["message_id"]
