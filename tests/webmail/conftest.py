"""Browsers without a browser: Django's test client, signed in as people of the house or as the outsider."""

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from apps.accounts.models import User
from tests.people import House


def browser_of(user: User) -> Client:
    client = Client(HTTP_HOST="127.0.0.1")
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def fresh_counters() -> None:
    """Sign-in limits count in the cache, which outlives a test."""
    cache.clear()


@pytest.fixture
def alice(house: House) -> Client:
    return browser_of(house.alice)


@pytest.fixture
def outsider(stranger: House) -> Client:
    """Signed in, and of another organisation."""
    return browser_of(stranger.alice)


@pytest.fixture
def nobody() -> Client:
    return Client(HTTP_HOST="127.0.0.1")


@pytest.fixture
def unreachable_cache(settings: Settings) -> None:
    """A cache at RFC 863's discard port, where nothing listens."""
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:9/0",
        }
    }
