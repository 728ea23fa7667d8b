"""Every secret at rest outlives a change of SECRET_KEY: relays' passwords, webhooks' secrets, signing keys."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from pytest_django import Settings

from apps.mailboxes.models import Domain
from apps.organisations.resealing import reseal_stale, sealed_columns
from apps.organisations.sealing import unseal
from apps.outbound.models import KeyAlgorithm, Relay, SigningKey
from apps.outbound.relays.endpoints import endpoint_of
from apps.outbound.relays.services import add_relay
from apps.outbound.relays.wishes import RelayWishes
from apps.outbound.signing.rotation import create_keys
from apps.webhooks.models import Webhook
from apps.webhooks.services import create_webhook
from mailplatform.management.commands.schedule import CLOCKS
from tests.people import House


@pytest.fixture
def secrets_of(house: House) -> Callable[[], list[bytes]]:
    """One of each kind, and what opening them gives now."""
    now = timezone.now()
    wishes = RelayWishes(name="main", host="smtp.example", security="tls", username="us", password="word")
    relay = add_relay(house.as_key, wishes, now)
    webhook, _shown = create_webhook(
        house.as_key, url="https://shop.example/hook", event_kinds=["*"], allowed=(), now=now
    )
    domain = Domain.objects.get(organisation=house.organisation)
    (key,) = create_keys(domain, now, algorithms=[KeyAlgorithm.ED25519])

    def opened() -> list[bytes]:
        rows = (
            (SigningKey.objects.get(pk=key.pk), "sealed_private_key"),
            (Webhook.objects.get(pk=webhook.pk), "sealed_secret"),
        )
        password = endpoint_of(Relay.objects.get(pk=relay.pk)).password.encode()
        return [password, *(unseal(getattr(row, column), row.seal_purpose) for row, column in rows)]

    return opened


def test_after_a_round_of_the_clock_the_old_key_is_not_needed(
    secrets_of: Callable[[], list[bytes]], settings: Settings
) -> None:
    before, newest = secrets_of(), Relay.objects.get().updated_at
    assert before[0] == b"word"
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "the new one"
    (clock,) = [clock for clock in CLOCKS if clock.name == "reseal secrets"]
    assert clock.work() == 3
    assert clock.work() == 0
    settings.SECRET_KEY_FALLBACKS = []
    assert secrets_of() == before
    # It is the same password: workers need not make their connections anew for it.
    assert Relay.objects.get().updated_at == newest


def test_what_opens_with_no_key_hinders_no_other(
    secrets_of: Callable[[], list[bytes]], settings: Settings
) -> None:
    Relay.objects.update(sealed_secret="v1.damaged")
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "the new one"
    assert reseal_stale() == 2
    assert Relay.objects.get().sealed_secret == "v1.damaged"


def test_every_row_with_a_secret_says_what_it_is_sealed_for() -> None:
    columns = list(sealed_columns())
    assert len(columns) >= 3
    assert [model for model, _column in columns if not hasattr(model, "seal_purpose")] == []
