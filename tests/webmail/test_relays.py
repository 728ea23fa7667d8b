"""The relays' pages: what admins do there, what agents see, and what never stands on them."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.outbound.models import Relay
from apps.outbound.relays.environment import reconcile_relays
from tests.people import House
from tests.remote.script import Phase, refuse
from tests.remote.server import RemoteServer
from tests.webmail.conftest import browser_of

TYPED = {
    "name": "Mail provider",
    "kind": "smarthost",
    "host": "smtp.provider.example",
    "port": "587",
    "security": "starttls",
    "certificates": "by_security",
    "username": "apikey",
    "password": "a very secret word",
    "hello_name": "",
    "priority": "10",
    "weight": "1",
    "sender_domains": "house.test, *.house.test",
    "recipient_domains": "",
    "lanes": ["bulk"],
}
FRAGMENT = {"HX-Request": "true", "HX-Request-Type": "partial"}


@pytest.fixture
def admin(house: House) -> Client:
    return browser_of(house.admin)


def address(name: str, relay: Relay) -> str:
    return reverse(f"webmail:{name}", args=[relay.pk])


def add(house: House, **columns: Any) -> Relay:
    usual = {
        "organisation": house.organisation,
        "name": "Mail provider",
        "host": "127.0.0.1",
        "security": "none",
    }
    return Relay.objects.create(**{**usual, **columns})


def test_an_admin_adds_a_relay_and_its_password_stands_nowhere(admin: Client) -> None:
    answer = admin.post(reverse("webmail:add-relay"), TYPED)
    relay = Relay.objects.get()
    assert answer["Location"] == address("relay", relay)
    assert (relay.sender_domains, relay.lanes) == (["*.house.test", "house.test"], ["bulk"])
    for page in (answer["Location"], reverse("webmail:relays")):
        shown = admin.get(page).content
        assert b"Mail provider" in shown
        assert b"secret word" not in shown
        assert relay.sealed_secret.encode() not in shown


@pytest.mark.parametrize(
    ("field", "value"), [("host", "no host"), ("port", "many"), ("sender_domains", "-"), ("name", " ")]
)
def test_what_is_wrong_is_said_at_its_field_and_the_rest_stays(admin: Client, field: str, value: str) -> None:
    answer = admin.post(reverse("webmail:add-relay"), TYPED | {field: value})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert page.count('class="wrong"') == 1
    assert 'aria-invalid="true"' in page
    assert "apikey" in page
    assert "secret word" not in page
    assert not Relay.objects.exists()


def test_an_empty_password_keeps_the_one_there_is(admin: Client) -> None:
    admin.post(reverse("webmail:add-relay"), TYPED)
    relay = Relay.objects.get()
    changed = admin.post(address("relay", relay), TYPED | {"password": "", "weight": "5"})
    assert changed.status_code == 302
    relay.refresh_from_db()
    assert relay.weight == 5
    assert relay.has_secret
    elsewhere = admin.post(address("relay", relay), TYPED | {"password": "", "host": "evil.example"})
    assert elsewhere.status_code == 422
    relay.refresh_from_db()
    assert relay.host == "smtp.provider.example"


def test_a_direct_relay_has_no_server_and_no_password(admin: Client) -> None:
    offered = admin.get(reverse("webmail:add-relay"), {"kind": "direct"}).content.decode()
    assert 'value="25"' in offered
    typed = {"kind": "direct", "security": "opportunistic", "port": "25"}
    assert admin.post(reverse("webmail:add-relay"), TYPED | typed).status_code == 302
    relay = Relay.objects.get()
    assert (relay.is_direct, relay.host, relay.username, relay.has_secret) == (True, "", "", False)


def test_a_relay_is_paused_resumed_and_removed(house: House, admin: Client) -> None:
    relay = add(house)
    admin.post(address("pause-relay", relay))
    assert b"Paused" in admin.get(reverse("webmail:relays")).content
    admin.post(address("resume-relay", relay))
    assert Relay.objects.get().is_active
    admin.post(address("remove-relay", relay))
    assert b"No relay yet" in admin.get(reverse("webmail:relays")).content


def test_agents_see_relays_and_have_nothing_to_press(house: House, alice: Client) -> None:
    relay = add(house)
    page = alice.get(address("relay", relay)).content.decode()
    assert "Mail provider" in page
    assert "Test now" not in page
    assert 'name="host"' not in page
    assert alice.get(reverse("webmail:add-relay")).status_code == 302
    assert alice.post(reverse("webmail:add-relay"), TYPED).status_code == 403
    for name in ("pause-relay", "resume-relay", "remove-relay", "test-relay"):
        assert alice.post(address(name, relay)).status_code == 403
    assert alice.post(address("relay", relay), TYPED).status_code == 403
    assert Relay.objects.get().name == "Mail provider"


def test_a_relay_of_the_environment_is_tested_and_not_changed(admin: Client, remote: RemoteServer) -> None:
    (relay,) = reconcile_relays([f"{remote.url}?tls=none"])
    page = admin.get(address("relay", relay)).content.decode()
    assert "RELAY_URL" in page
    assert 'name="host"' not in page
    assert admin.post(address("remove-relay", relay)).status_code == 409
    tried = admin.post(address("test-relay", relay), headers=FRAGMENT).content.decode()
    assert "Mail can go over it." in tried
    reconcile_relays([])


def test_a_test_is_told_step_by_step_with_and_without_a_script(
    house: House, admin: Client, remote: RemoteServer
) -> None:
    relay = add(house, port=remote.port)
    remote.play(Phase.RCPT, refuse(550, "5.7.1 relaying denied"))
    asked = {"recipient": "elena@x.example", "sender": "admin@house.test"}
    fragment = admin.post(address("test-relay", relay), asked, headers=FRAGMENT).content.decode()
    whole = admin.post(address("test-relay", relay), asked).content.decode()
    assert "<html" not in fragment
    assert "<html" in whole
    for page in (fragment, whole):
        assert "Mail cannot go over it yet." in page
        assert "550 5.7.1 relaying denied" in page
        assert "have our address allowed there" in page
    assert remote.messages == []
    wrong = admin.post(address("test-relay", relay), {"recipient": "nobody"}, headers=FRAGMENT)
    assert "An address needs an @." in wrong.content.decode()
