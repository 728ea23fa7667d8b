from datetime import UTC, datetime
from ipaddress import ip_network

import pytest

from apps.accounts.models import Role
from apps.accounts.principal import Principal
from apps.accounts.services import create_api_key
from apps.events.models import Event
from apps.mailboxes.errors import NotVisible
from apps.organisations.sealing import unseal
from apps.webhooks.errors import WebhookInvalid, WebhookNotActive
from apps.webhooks.kinds import is_wanted, is_well_formed
from apps.webhooks.models import DisabledBecause, Webhook
from apps.webhooks.payload import shown_secret
from apps.webhooks.selectors import deliveries_of, webhook_for, webhooks_for
from apps.webhooks.services import (
    MAX_WEBHOOKS,
    change_webhook,
    create_webhook,
    delete_webhook,
    send_test_event,
)
from tests.people import House

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
URL = "https://shop.example/hook"


def made(house: House, url: str = URL) -> Webhook:
    return create_webhook(house.as_key, url=url, event_kinds=["ticket.*"], allowed=(), now=NOW)[0]


def test_the_secret_is_told_once_and_kept_sealed(house: House) -> None:
    webhook, secret = create_webhook(house.as_key, url=URL, event_kinds=["*"], allowed=(), now=NOW)
    assert secret.startswith("whsec_")
    assert shown_secret(unseal(webhook.sealed_secret, webhook.seal_purpose)) == secret
    columns = " ".join(str(value) for value in Webhook.objects.values().get().values())
    assert secret not in columns
    assert secret.removeprefix("whsec_") not in columns


def test_two_webhooks_have_two_secrets(house: House) -> None:
    secrets = {
        create_webhook(house.as_key, url=URL, event_kinds=["*"], allowed=(), now=NOW)[1] for _ in range(3)
    }
    assert len(secrets) == 3


def test_only_admins_of_the_organisation_see_them(house: House, stranger: House) -> None:
    webhook = made(house)
    key, _secret = create_api_key(house.organisation, name="agents", role=Role.AGENT)
    for agent in (house.as_alice, Principal.of_key(key)):
        with pytest.raises(NotVisible):
            webhooks_for(agent)
        with pytest.raises(NotVisible):
            create_webhook(agent, url=URL, event_kinds=["*"], allowed=(), now=NOW)
    for outsider in (stranger.as_key, Principal.of_user(stranger.admin)):
        assert list(webhooks_for(outsider)) == []
        for attempt in (
            lambda who: webhook_for(who, webhook.pk),
            lambda who: deliveries_of(who, webhook),
            lambda who: change_webhook(who, webhook, is_active=False, allowed=(), now=NOW),
            lambda who: delete_webhook(who, webhook),
            lambda who: send_test_event(who, webhook, NOW),
        ):
            with pytest.raises(NotVisible):
                attempt(outsider)
    assert webhook_for(Principal.of_user(house.admin), webhook.pk) == webhook


def test_what_is_given_changes_and_the_rest_stays(house: House) -> None:
    webhook = made(house)
    Webhook.objects.update(failing_since=NOW, paused_until=NOW)
    changed = change_webhook(house.as_key, webhook, description=" The  shop ", allowed=(), now=NOW)
    assert (changed.description, changed.url, changed.failing_since) == ("The shop", URL, NOW)
    changed = change_webhook(house.as_key, webhook, url="https://new.example/", allowed=(), now=NOW)
    assert (changed.url, changed.failing_since, changed.paused_until) == ("https://new.example/", None, None)


def test_it_is_switched_off_and_on_again(house: House) -> None:
    webhook = made(house)
    off = change_webhook(house.as_key, webhook, is_active=False, allowed=(), now=NOW)
    assert (off.is_active, off.disabled_because, off.disabled_at) == (False, DisabledBecause.BY_PERSON, NOW)
    with pytest.raises(WebhookNotActive):
        send_test_event(house.as_key, webhook, NOW)
    on = change_webhook(house.as_key, webhook, is_active=True, allowed=(), now=NOW)
    assert (on.is_active, on.disabled_because, on.disabled_at) == (True, "", None)


def test_what_is_done_to_it_is_in_the_log_without_its_url(house: House) -> None:
    webhook = made(house)
    change_webhook(house.as_key, webhook, is_active=False, allowed=(), now=NOW)
    delete_webhook(house.as_key, webhook)
    told = list(Event.objects.order_by("id").values_list("kind", "data__webhook", "actor"))
    assert told == [
        (kind, str(webhook.pk), house.as_key.actor)
        for kind in ("webhook.created", "webhook.disabled", "webhook.deleted")
    ]
    assert "shop.example" not in str(list(Event.objects.values()))


@pytest.mark.parametrize("kinds", [[], ["ticket"], ["*.opened"], ["Ticket.opened"], ["a.b"] * 3 + ["x y"]])
def test_kinds_that_are_none_name_their_place(house: House, kinds: list[str]) -> None:
    with pytest.raises(WebhookInvalid) as caught:
        create_webhook(house.as_key, url=URL, event_kinds=kinds, allowed=(), now=NOW)
    assert caught.value.field.startswith("event_kinds")


def test_kinds_match_themselves_their_family_or_everything() -> None:
    assert is_wanted("ticket.opened", ["ticket.opened"])
    assert is_wanted("ticket.opened", ["x.y", "ticket.*"])
    assert is_wanted("ticket.opened", ["*"])
    assert not is_wanted("ticket.opened", ["ticket.closed", "tickets.*", "message.*"])
    assert not is_wanted("webhook.tested", ["*"])
    assert is_well_formed("delivery.sent")


def test_http_is_for_operators_networks(house: House) -> None:
    with pytest.raises(WebhookInvalid):
        made(house, "http://10.0.0.5:8080/hook")
    allowed = [ip_network("10.0.0.0/24")]
    webhook, _secret = create_webhook(
        house.as_key, url="http://10.0.0.5:8080/hook", event_kinds=["*"], allowed=allowed, now=NOW
    )
    assert webhook.url == "http://10.0.0.5:8080/hook"


def test_an_organisation_has_so_many_and_no_more(house: House) -> None:
    for _ in range(MAX_WEBHOOKS):
        made(house)
    with pytest.raises(WebhookInvalid):
        made(house)
