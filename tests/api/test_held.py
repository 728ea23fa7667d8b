"""Held mail, trusted senders and spam over REST."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.blobs.selectors import read
from apps.mailboxes.models import Message
from apps.tickets.models import HeldMessage, Opinion, SpamMark, Ticket
from tests.api.client import Api
from tests.arrivals import arrive
from tests.inbound.arriving import take
from tests.mail import raw_mail
from tests.outbound.sending import send
from tests.people import House
from tests.screening.files import EICAR, GTUBE

pytestmark = pytest.mark.django_db(transaction=True)


def held_mail(house: House, *recipients: str, text: bytes = GTUBE, **mail: Any) -> HeldMessage:
    row = take(house, raw_mail(text=f"{text.decode()}\r\n", **mail), *recipients)
    assert row.held is not None
    return row.held


def agent(house: House) -> Api:
    """Called with Alice's own key."""
    _key, secret = create_api_key(house.organisation, name="Alice's", role=Role.AGENT, user=house.alice)
    return Api.of(secret)


def test_held_mail_is_told_with_its_cause_and_evidence(house: House, api: Api) -> None:
    held = held_mail(house, "support@house.test", "alice@house.test", subject="Watches")
    told = api.get("/held").json()["results"][0]
    assert told == api.get(f"/held/{held.pk}").json()
    assert (told["cause"], told["state"], told["subject"]) == ("spam", "waiting", "Watches")
    assert "GTUBE" in told["reason"]
    assert any("gtube" in one.lower() for one in told["details"])
    assert told["from"] == {"name": "Elena Marsh", "address": "elena@customer.example"}
    assert set(told["mailboxes"]) == {str(house.support.pk), str(house.alices.pk)}
    assert told["preview"].startswith("XJS")
    assert told["message"] is None
    assert api.get(f"/held/{held.pk}/raw").content == read(held.raw)


def test_lists_are_filtered(house: House, api: Api) -> None:
    spam, virus = held_mail(house, "alice@house.test"), held_mail(house, text=EICAR, message_id="v@x.example")
    api.post(f"/held/{spam.pk}/discard")

    def found(query: str) -> list[str]:
        return [row["id"] for row in api.get(f"/held{query}").json()["results"]]

    assert found("") == found("?cause=infected") == found(f"?mailbox={house.support.pk}") == [str(virus.pk)]
    assert found("?state=discarded") == [str(spam.pk)]
    assert found(f"?state=discarded&mailbox={house.support.pk}") == []
    assert api.get("/held?state=gone").status_code == 422


def test_a_released_mail_is_a_ticket(house: House, api: Api) -> None:
    held = held_mail(house)
    answer = api.post(f"/held/{held.pk}/release", {})
    assert answer.status_code == 200
    assert answer.json() == {
        "id": str(held.pk),
        "state": "released",
        "message": str(Message.objects.get().pk),
        "ticket": str(Ticket.objects.get().pk),
    }
    assert api.post(f"/held/{held.pk}/release", {}).json() == answer.json()
    assert api.post(f"/held/{held.pk}/discard").status_code == 409
    told = api.get(f"/held/{held.pk}").json()
    assert (told["state"], told["message"], told["decided_by"]) == (
        "released",
        answer.json()["message"],
        None,
    )


def test_release_may_trust_the_sender(house: House, api: Api) -> None:
    api.post(f"/held/{held_mail(house).pk}/release", {"trust": True})
    (told,) = api.get("/trusted-senders").json()["results"]
    assert told["sender"] == "elena@customer.example"
    assert api.get(f"/trusted-senders/{told['id']}").json() == told
    assert api.delete(f"/trusted-senders/{told['id']}").status_code == 204
    assert api.get(f"/trusted-senders/{told['id']}").status_code == 404


def test_trusted_senders_are_entered_and_refused(house: House, api: Api) -> None:
    assert api.post("/trusted-senders", {"sender": "Partner.example"}).json()["sender"] == "partner.example"
    refused = api.post("/trusted-senders", {"sender": "gmail.com"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "sender"


def test_discarded_mail_is_restored(house: House, api: Api) -> None:
    held = held_mail(house)
    assert api.post(f"/held/{held.pk}/discard").json()["state"] == "discarded"
    assert api.post(f"/held/{held.pk}/restore").json()["state"] == "waiting"
    assert api.post(f"/held/{held.pk}/restore").status_code == 409


def test_an_agents_key_sees_its_mailboxes_and_lets_no_virus_in(house: House) -> None:
    for_bob = held_mail(house, "bob@house.test")
    virus = held_mail(house, "support@house.test", "bob@house.test", text=EICAR, message_id="v@x.example")
    api = agent(house)
    (told,) = api.get("/held").json()["results"]
    assert told["mailboxes"] == [str(house.support.pk)], "that it went to Bob too is not Alice's to know"
    assert api.get(f"/held/{for_bob.pk}").status_code == 404
    assert api.post(f"/held/{virus.pk}/release", {}).status_code == 403
    assert not Message.objects.exists()


def test_marking_a_message_moves_it_and_is_remembered(house: House, api: Api) -> None:
    message = arrive([house.support, house.alices])
    told = api.post(f"/messages/{message.pk}/spam").json()
    assert {entry["folder"] for entry in told["entries"]} == {"spam"}
    assert SpamMark.objects.get().opinion == Opinion.SPAM
    told = api.post(f"/messages/{message.pk}/not-spam").json()
    assert {entry["folder"] for entry in told["entries"]} == {"inbox"}
    assert SpamMark.objects.get().opinion == Opinion.HAM


def test_what_we_wrote_is_no_spam(house: House, api: Api) -> None:
    sent = send(house.as_key, "elena@customer.example").message
    assert api.post(f"/messages/{sent.pk}/spam").status_code == 422
    assert not SpamMark.objects.exists()


def test_long_lists_are_turned_by_the_page(house: House, api: Api) -> None:
    first = held_mail(house)
    now = timezone.now()
    for n in range(1, 5):
        HeldMessage.objects.create(
            organisation=house.organisation,
            raw=first.raw,
            cause="spam",
            reason="It is spam.",
            received_at=now,
            held_at=now - timedelta(minutes=n),
        )
    page = api.get("/held?limit=3").json()
    rest = api.get(page["next"]).json()
    assert [len(page["results"]), len(rest["results"])] == [3, 2]
    assert page["results"][0]["id"] == str(first.pk)
