"""The error queue over REST: what was refused is kept, looked at, mended and sent; what failed goes elsewhere."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.mailboxes.models import Message
from apps.mailboxes.selectors import raw_of
from apps.outbound.models import Delivery, DeliveryReport, DeliveryState, RefusedSubmission, SendingPolicy
from apps.tickets.models import Ticket
from tests.api.client import Api
from tests.api.test_sending import HELLO, fail, send
from tests.arrivals import arrive
from tests.bounced import ELENA, bounced
from tests.outbound.sending import drain
from tests.people import House
from tests.remote.server import RemoteServer

FILE = {"filename": "a.txt", "content": base64.b64encode(b"abc").decode(), "content_type": "text/plain"}


def refuse(api: Api, body: Any, **headers: str) -> dict[str, Any]:
    answer = api.post("/messages", body, **headers)
    assert answer.status_code == 422, answer.content
    told: dict[str, Any] = answer.json()
    return told


def test_a_refused_message_is_kept_whole_and_sent_once_it_is_mended(house: House, api: Api) -> None:
    asked = HELLO | {"to": ["nonsense"], "attachments": [FILE], "tags": ["order"]}
    told = refuse(api, asked)
    assert [(one["field"], one["code"]) for one in told["errors"]] == [("to[0]", "address_invalid")]
    [row] = api.get("/errors").json()["results"]
    assert (row["id"], row["kind"], row["state"]) == (told["kept_as"], "submission", "rejected")
    assert (row["message"], row["recipient"], row["cause"]) == (None, "nonsense", "address_invalid")
    whole = api.get(f"/errors/{row['id']}").json()
    assert whole["submission"]["to"] == ["nonsense"]
    assert whole["files"] == [{"n": 0, "filename": "a.txt", "size_bytes": 3}]
    answer = api.post(f"/errors/{row['id']}/resubmit", {"to": ["elena@customer.example"]})
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert b"YWJj" in raw_of(Message.objects.get(pk=answer.json()["id"]))
    assert api.get(f"/messages/{answer.json()['id']}").json()["tags"] == ["order"]
    assert api.get("/errors").json()["results"] == []
    assert api.post(f"/errors/{row['id']}/resubmit").status_code == 409
    assert api.get(f"/errors/{row['id']}").json()["message"] == answer.json()["id"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"to": ["elena@customer.example"]}, "from"),
        (HELLO | {"sendat": "tomorrow"}, "sendat"),
        (HELLO | {"to": "elena@customer.example"}, "to"),
        (HELLO | {"attachments": [{"filename": "a", "content": "%%"}]}, "attachments[0].content"),
        (HELLO | {"attachments": "none"}, "attachments"),
        (HELLO | {"text": "\u0000"}, "text"),
        (["not", "an", "object"], "body"),
        (7, "body"),
    ],
    ids=str,
)
def test_whatever_is_json_and_no_message_is_kept_as_it_came(
    house: House, api: Api, asked: Any, field: str
) -> None:
    told = refuse(api, asked)
    assert told["errors"][0]["field"] == field
    assert api.get(f"/errors/{told['kept_as']}").json()["submission"] == asked


def test_a_misspelt_field_is_taken_away_by_null(house: House, api: Api) -> None:
    told = refuse(api, HELLO | {"sendat": "tomorrow"})
    path = f"/errors/{told['kept_as']}/resubmit"
    assert api.post(path, {"subject": "Again"}).status_code == 422
    assert api.post(path, {"sendat": None}).status_code == 202
    assert RefusedSubmission.objects.count() == 1
    assert Message.objects.get().subject == "Again"


def test_what_is_no_json_is_not_kept(house: House, api: Api) -> None:
    assert api.post("/messages", b"{not json").status_code == 422
    assert not RefusedSubmission.objects.exists()


def test_an_integrator_that_repeats_with_its_key_mends_by_itself(house: House, api: Api) -> None:
    refuse(api, HELLO | {"to": ["nonsense"]}, Idempotency_Key="order-7")
    refuse(api, HELLO | {"to": ["elena@customer.example"], "priority": "now"}, Idempotency_Key="order-7")
    assert RefusedSubmission.objects.get().times == 2
    send(api, Idempotency_Key="order-7")
    assert api.get("/errors").json()["results"] == []


def test_a_refused_answer_is_mended_as_an_answer(house: House, api: Api) -> None:
    arrive(house.support)
    ticket = Ticket.objects.get()
    answer = api.post(f"/tickets/{ticket.pk}/replies", {"text": "Mended.", "to": ["no"], "state": "solved"})
    assert answer.status_code == 422
    [row] = api.get("/errors").json()["results"]
    assert row["ticket"] == str(ticket.pk)
    assert api.post(f"/errors/{row['id']}/resubmit", {"to": None}).status_code == 202
    ticket.refresh_from_db()
    assert ticket.state == "solved"


def test_both_kinds_are_one_list_by_the_page(house: House, api: Api) -> None:
    for n in range(3):
        refuse(api, HELLO | {"to": [f"nonsense {n}"]})
        fail(send(api, {"to": [f"a{n}@customer.example"]})["deliveries"][0]["id"])
    whole = [row["id"] for row in api.get("/errors").json()["results"]]
    assert len(whole) == 6
    walked: list[str] = []
    path: str | None = "/errors?limit=2"
    while path:
        page = api.get(path).json()
        walked += [row["id"] for row in page["results"]]
        path = page["next"]
    assert walked == whole
    kinds = [row["kind"] for row in api.get("/errors").json()["results"]]
    assert kinds == ["delivery", "submission"] * 3


def test_a_refusal_is_discarded(house: House, api: Api) -> None:
    told = refuse(api, HELLO | {"to": ["nonsense"]})
    assert api.post(f"/errors/{told['kept_as']}/discard").json()["kind"] == "submission"
    assert api.get("/errors").json()["results"] == []
    assert api.post(f"/errors/{told['kept_as']}/discard").status_code == 409


def test_a_failed_recipient_is_sent_to_a_corrected_address(house: House, api: Api) -> None:
    told = send(api, {"to": ["elenna@customer.example"]})
    [delivery] = told["deliveries"]
    fail(delivery["id"])
    path = f"/errors/{delivery['id']}/resubmit"
    assert api.post(path, {"recipient": "nonsense"}).json()["errors"][0]["field"] == "recipient"
    assert api.post(path, {"recipient": 7}).status_code == 422
    assert api.post(path, {"subject": "x"}).status_code == 422
    assert api.post(path, [1]).status_code == 422
    answer = api.post(path, {"recipient": "elena@customer.example"})
    assert (answer.json()["recipient"], answer.json()["state"]) == ("elena@customer.example", "queued")
    assert api.get("/errors").json()["results"] == []


def test_a_colleague_learns_nothing_of_a_private_refusal(house: House, api: Api, outsider: Api) -> None:
    told = refuse(api, HELLO | {"from": "alice@house.test", "to": ["nonsense"]})
    _key, secret = create_api_key(house.organisation, name="bob's", role=Role.AGENT, user=house.bob)
    for caller in (Api.of(secret), outsider):
        assert caller.get("/errors").json()["results"] == []
        assert caller.get(f"/errors/{told['kept_as']}").status_code == 404
        for verb in ("resubmit", "discard"):
            assert caller.post(f"/errors/{told['kept_as']}/{verb}").status_code == 404


# quotas


def test_beyond_a_quota_it_is_429_with_which_and_when(house: House, api: Api) -> None:
    SendingPolicy.objects.create(organisation=house.organisation, recipients_per_day_of_key=2)
    _key, secret = create_api_key(house.organisation, name="bob's", role=Role.AGENT, user=house.bob)
    bob = Api.of(secret)
    body = HELLO | {"to": ["a@customer.example", "b@customer.example"]}
    assert bob.post("/messages", body).status_code == 202
    answer = bob.post("/messages", HELLO)
    assert (answer.status_code, answer.json()["code"]) == (429, "quota_reached")
    quota = answer.json()["quota"]
    assert (quota["of"], quota["limit"], quota["used"]) == ("key", 2, 2)
    assert 86_000 < int(answer.headers["Retry-After"]) <= 86_460
    assert bob.post("/messages", {"to": 7}).status_code == 429
    assert not RefusedSubmission.objects.exists()
    assert api.post("/messages", HELLO).status_code == 202


# wishes


def test_a_message_may_ask_for_one_click_and_for_silence_after_an_answer(house: House, api: Api) -> None:
    told = send(api, {"list_unsubscribe": {"url": "https://house.test/u/7"}, "cancel_if_replied": True})
    assert b"List-Unsubscribe-Post" in api.get(f"/messages/{told['id']}/raw").content
    assert Delivery.objects.get().cancel_if_replied
    told = refuse(api, HELLO | {"list_unsubscribe": {"url": "http://house.test/u"}})
    assert told["errors"][0]["field"] == "list_unsubscribe.url"


def test_a_scheduled_message_is_put_to_another_time_and_then_sent_now(house: House, api: Api) -> None:
    at = timezone.now().replace(microsecond=0) + timedelta(days=2)
    told = send(api, {"send_at": at.isoformat()})
    path = f"/messages/{told['id']}/reschedule"
    other = (at + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    assert api.post(path, {"send_at": other}).json()["deliveries"][0]["next_attempt_at"] == other
    assert api.post(path, {}).status_code == 422
    assert api.post(path, {"send_at": "2020-01-01T00:00:00Z"}).status_code == 422
    assert api.post(path, {"send_at": None}).json()["state"] == "queued"
    assert api.post(path, {"send_at": None}).status_code == 409


def test_a_message_is_sent_over_another_relay(house: House, api: Api, relay: RemoteServer) -> None:
    told = send(api)
    path = f"/messages/{told['id']}/retry"
    assert api.post(path, {"relay": told["id"]}).json()["errors"][0]["field"] == "relay"
    assert api.post(path, {"relais": told["id"]}).status_code == 422
    assert api.post(path).status_code == 409


def test_a_messages_whole_story_is_told_to_its_senders_side(
    house: House, api: Api, outsider: Api, relay: RemoteServer
) -> None:
    told = send(api, {"from": "alice@house.test", "to": ["elena@customer.example", "bob@house.test"]})
    drain()
    rows = api.get(f"/messages/{told['id']}/deliveries").json()["results"]
    story = {row["recipient"]: row for row in rows}["elena@customer.example"]
    assert story["state"] == DeliveryState.SENT
    [attempt] = story["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["code"]) == (1, "sent", 250)
    assert {"connect", "dot"} <= attempt["phases_ms"].keys()
    assert outsider.get(f"/messages/{told['id']}/deliveries").status_code == 404
    _key, secret = create_api_key(house.organisation, name="bob's", role=Role.AGENT, user=house.bob)
    assert Api.of(secret).get(f"/messages/{told['id']}/deliveries").json()["results"] == []


def test_what_came_back_is_told_beside_its_recipient(house: House, api: Api) -> None:
    delivery = bounced(house)
    report = DeliveryReport.objects.get()
    [told] = api.get(f"/messages/{delivery.message_id}").json()["deliveries"]
    assert told["state"] == "bounced"
    [came] = told["reports"]
    assert came["reported_at"].endswith("Z")
    assert (
        came.items()
        >= {
            "action": "failed",
            "nature": "no_such_address",
            "status": "5.1.1",
            "diagnostic": report.diagnostic,
            "server": "mx.customer.example",
            "recipient": ELENA,
            "proof": "signature",
            "message": str(report.message_id),
        }.items()
    )
    assert "User unknown" in came["diagnostic"]
    assert api.get(f"/messages/{came['message']}/raw").status_code == 200
    [row] = api.get(f"/messages/{delivery.message_id}/deliveries").json()["results"]
    assert row["reports"] == told["reports"]
    add = {"recipient": "elena@new.example"}
    assert api.post(f"/errors/{delivery.pk}/resubmit", add).json()["reports"] == []


def test_the_scanners_verdict_is_told_to_the_senders_side(house: House, api: Api) -> None:
    program = FILE | {"filename": "setup.exe"}
    told = send(api, {"to": ["bob@house.test", "elena@customer.example"], "attachments": [program]})
    assert {one["state"] for one in told["deliveries"]} == {"rejected"}
    verdict = api.get(f"/messages/{told['id']}").json()["screening"]
    assert (verdict["outcome"], verdict["scanner"], verdict["try_again_at"]) == ("forbidden", "builtin", None)
    assert "setup.exe" in verdict["reason"]
    rows = api.get(f"/messages/{told['id']}/deliveries").json()["results"]
    assert [row["screening"] for row in rows] == [verdict, verdict]
    waiting = send(api, {"to": ["elena@customer.example"]})
    assert api.get(f"/messages/{waiting['id']}").json()["screening"] is None


def test_who_receives_a_mail_learns_of_no_verdict(house: House, api: Api) -> None:
    told = send(api, {"from": "alice@house.test", "to": ["bob@house.test"]})
    _key, secret = create_api_key(house.organisation, name="bob's", role=Role.AGENT, user=house.bob)
    assert Api.of(secret).get(f"/messages/{told['id']}").json()["screening"] is None
    assert api.get(f"/messages/{told['id']}").json()["screening"]["outcome"] == "clean"
