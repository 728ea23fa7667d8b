"""From the event to the browser: who is told of what, what they are told, and when nobody is."""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any
from zoneinfo import ZoneInfo

import http_ece
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client
from django.utils import timezone
from py_vapid import Vapid02
from pytest_django import Settings

from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.events.services import sequence_committed
from apps.mailboxes.models import MailboxEntry, Membership
from apps.notifications import fan_out as fanning
from apps.notifications.models import Push, PushKey, PushSubscription
from apps.notifications.push import Teller
from apps.notifications.queue import sweep_notifications
from apps.notifications.services import keep_wish
from apps.organisations.sealing import unseal
from apps.tickets.models import Ticket
from apps.tickets.services import add_note, change_ticket
from apps.webhooks.connection import PushPolicy
from tests.arrivals import arrive
from tests.people import House
from tests.webhooks.receiver import Receiver, receiving
from tests.webmail.conftest import browser_of

pytestmark = pytest.mark.django_db(transaction=True)

LOOPBACK = (ip_network("127.0.0.0/8"),)


@dataclass
class Browser:
    """A browser with its push service: it can read what was encrypted for it."""

    client: Client
    service: Receiver
    key: ec.EllipticCurvePrivateKey
    auth: bytes

    @property
    def fields(self) -> dict[str, str]:
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {"endpoint": self.service.url, "p256dh": encoded(point), "auth": encoded(self.auth)}

    @property
    def told(self) -> list[dict[str, Any]]:
        return [
            json.loads(http_ece.decrypt(one.body, private_key=self.key, auth_secret=self.auth))
            for one in self.service.got
        ]


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.fixture
def browser(house: House, settings: Settings) -> Iterator[Browser]:
    """Alice's, which asked to be told."""
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK
    with receiving() as service:
        one = Browser(
            browser_of(house.alice), service, ec.generate_private_key(ec.SECP256R1()), b"sixteen bytes ok"
        )
        assert one.client.get("/notifications/").status_code == 200
        assert one.client.post("/notifications/subscribe/", one.fields).status_code == 200
        yield one


def tell(policy: PushPolicy = PushPolicy(allowed_networks=LOOPBACK)) -> None:  # noqa: B008  frozen
    while sequence_committed():
        pass
    while fanning.fan_out():
        pass
    asyncio.run(Teller(policy).run())


def wish(user: User, **changed: Any) -> None:
    chosen: dict[str, Any] = {
        "about_mine": True,
        "about_team": True,
        "shows_mail": True,
        "quiet": ("", ""),
        "timezone": "UTC",
    }
    keep_wish(Principal.of_user(user), **(chosen | changed))


def test_new_mail_of_ones_own_is_told_so_that_only_the_browser_reads_it(
    house: House, browser: Browser
) -> None:
    message = arrive(house.alices, to="alice@house.test")
    tell()
    place = f"/m/{house.alices.pk}/inbox/{message.thread_id}/"
    assert browser.told == [
        {
            "title": "Elena Marsh",
            "body": "Invoice 20931 charged twice",
            "url": place,
            "tag": str(message.thread_id),
        }
    ]
    assert b"Elena" not in browser.service.got[0].body
    assert not Push.objects.exists()
    tell()
    assert len(browser.told) == 1


def test_the_push_service_knows_who_sends(house: House, browser: Browser) -> None:
    arrive(house.alices, to="alice@house.test")
    tell()
    headers = browser.service.got[0].headers
    assert headers["content-encoding"] == "aes128gcm"
    assert Vapid02.verify(headers["authorization"])
    key = PushKey.objects.get()
    assert key.public_key in headers["authorization"]
    assert unseal(key.sealed_private_key, "vapid").startswith(b"-----BEGIN")


def test_a_shared_mailboxs_mail_is_told_to_who_wishes_it_until_somebody_has_it(
    house: House, browser: Browser
) -> None:
    first = arrive(house.support)
    tell()
    assert browser.told == []
    wish(house.alice)
    arrive(house.support, subject="Another", message_id="2@x.example")
    tell()
    assert [one["body"] for one in browser.told] == ["Another"]
    Ticket.objects.filter(thread=first.thread_id).update(assignee=house.bob)
    arrive(house.support, message_id="3@x.example", headers={"In-Reply-To": f"<{first.rfc_message_id}>"})
    tell()
    assert len(browser.told) == 1


def test_who_is_given_a_ticket_is_told_and_who_takes_one_is_not(house: House, browser: Browser) -> None:
    arrive(house.support)
    tell()
    ticket = Ticket.objects.get()
    change_ticket(house.as_alice, ticket, assignee_id=house.alice.pk, now=timezone.now())
    tell()
    assert browser.told == []
    change_ticket(house.as_bob, ticket, assignee_id=None, now=timezone.now())
    change_ticket(house.as_bob, ticket, assignee_id=house.alice.pk, now=timezone.now())
    tell()
    assert [one["title"] for one in browser.told] == ["Assigned to you"]


def test_whom_a_note_calls_is_told_and_not_in_their_quiet_hours(house: House, browser: Browser) -> None:
    arrive(house.support)
    tell()
    ticket = Ticket.objects.get()
    add_note(house.as_alice, ticket, text="A reminder for @alice", now=timezone.now())
    add_note(house.as_bob, ticket, text="Nobody is called here", now=timezone.now())
    tell()
    assert browser.told == []
    add_note(house.as_bob, ticket, text="Can you look at it, @alice?", now=timezone.now())
    tell()
    assert [(one["title"], one["body"]) for one in browser.told] == [
        ("You are mentioned in a note", "Invoice 20931 charged twice")
    ]
    wish(house.alice, quiet=("00:00", "23:59:59"))
    add_note(house.as_bob, ticket, text="Or tomorrow, @alice.", now=timezone.now())
    tell()
    assert len(browser.told) == 1


def test_what_waits_for_another_try_is_not_told_once_quiet_hours_have_begun(
    house: House, browser: Browser
) -> None:
    browser.service.answers = [503]
    arrive(house.alices, to="alice@house.test")
    tell()
    assert len(browser.service.got) == 1
    wish(house.alice, quiet=("00:00", "23:59:59"))
    Push.objects.update(due_at=timezone.now())
    tell()
    assert len(browser.service.got) == 1
    assert not Push.objects.exists()


def test_who_wishes_it_so_is_told_neither_sender_nor_subject(house: House, browser: Browser) -> None:
    wish(house.alice, shows_mail=False)
    arrive(house.alices, to="alice@house.test")
    tell()
    assert [(one["title"], one["body"]) for one in browser.told] == [("New mail", "")]


@pytest.mark.parametrize(("clock", "told"), [("21:59", 1), ("22:00", 0), ("03:00", 0), ("07:00", 1)])
def test_quiet_hours_go_over_midnight_on_the_persons_own_clock(
    house: House, browser: Browser, clock: str, told: int
) -> None:
    wish(house.alice, quiet=("22:00", "07:00"), timezone="Europe/Berlin")
    hour, minute = clock.split(":")
    on_the_wall = datetime(2027, 1, 15, int(hour), int(minute), tzinfo=ZoneInfo("Europe/Berlin"))
    with time_machine.travel(on_the_wall, tick=False):
        arrive(house.alices, to="alice@house.test")
        while sequence_committed():
            pass
        while fanning.fan_out():
            pass
        assert Push.objects.count() == told


def test_nothing_is_told_to_who_cannot_see_it_any_more_or_has_signed_out(
    house: House, browser: Browser
) -> None:
    for undo in (
        lambda: Membership.objects.filter(user=house.alice, mailbox=house.alices).delete(),
        lambda: MailboxEntry.objects.update(is_read=True),
        lambda: browser.client.post("/sign-out/"),
    ):
        arrive(house.alices, to="alice@house.test", message_id=f"{timezone.now().timestamp()}@x.example")
        while sequence_committed():
            pass
        while fanning.fan_out():
            pass
        undo()
        tell()
        assert browser.told == []
        assert not Push.objects.exists()
        Membership.objects.get_or_create(user=house.alice, mailbox=house.alices)


@pytest.mark.parametrize("status", [404, 410])
def test_a_subscription_that_is_over_is_forgotten(house: House, browser: Browser, status: int) -> None:
    browser.service.answers = [status]
    arrive(house.alices, to="alice@house.test")
    tell()
    assert not PushSubscription.objects.exists()


def test_a_service_in_trouble_is_asked_again_and_what_is_an_hour_old_is_dropped(
    house: House, browser: Browser
) -> None:
    browser.service.answers = [503]
    arrive(house.alices, to="alice@house.test")
    tell()
    waiting = Push.objects.get()
    assert waiting.due_at > timezone.now() + timedelta(seconds=20)
    Push.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert sweep_notifications() == 1
    assert PushSubscription.objects.exists()


@pytest.mark.parametrize("junk", ["!" * 40, "\x00", "é"])
def test_keys_that_only_seem_to_be_some_are_refused(house: House, browser: Browser, junk: str) -> None:
    for name in ("auth", "p256dh"):
        fields = browser.fields | {name: browser.fields[name] + junk}
        assert browser.client.post("/notifications/subscribe/", fields).status_code == 422


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://127.0.0.1/x",
        "https://169.254.169.254/latest",
        "http://push.example/x",
        "https://10.0.0.1:5432/",
        "x",
    ],
)
def test_a_browser_cannot_name_an_address_inside(house: House, endpoint: str) -> None:
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    keys = {"p256dh": encoded(point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))}
    fields = keys | {"auth": encoded(b"sixteen bytes ok"), "endpoint": endpoint}
    answer = browser_of(house.alice).post("/notifications/subscribe/", fields)
    assert answer.status_code == 422
    assert not PushSubscription.objects.exists()


def test_a_name_that_leads_inside_is_refused_when_it_is_used(house: House, browser: Browser) -> None:
    PushSubscription.objects.update(endpoint=f"https://localhost:{browser.service.port}/x")
    arrive(house.alices, to="alice@house.test")
    tell(PushPolicy())
    assert browser.service.got == []
    assert Push.objects.count() == 1


def test_the_subscription_follows_the_person_and_only_they_can_end_it(house: House, browser: Browser) -> None:
    bob = browser_of(house.bob)
    bob.post("/notifications/unsubscribe/", {"endpoint": browser.service.url})
    assert PushSubscription.objects.get().user == house.alice
    bob.post("/notifications/subscribe/", browser.fields)
    assert PushSubscription.objects.get().user == house.bob


def test_what_cannot_be_quiet_hours_is_said(house: House) -> None:
    client: Client = browser_of(house.alice)
    for fields in (
        {"quiet_from": "22:00"},
        {"quiet_from": "x", "quiet_until": "7"},
        {"timezone": "Mars/Olympus"},
    ):
        answer = client.post("/notifications/", fields)
        assert answer.status_code == 422, fields
