"""A stranger's server that the product may fetch from, because a test says so."""

from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from django.core.cache import cache
from pytest_django import Settings

from tests.fetching.far_server import FarServer, far_server


@pytest.fixture
def far(settings: Settings) -> Iterator[FarServer]:
    cache.clear()
    settings.FETCH_ALLOWED_NETWORKS = (ip_network("127.0.0.0/8"),)
    with far_server() as one:
        yield one


@pytest.fixture
def unreachable_cache(settings: Settings) -> None:
    """A cache at RFC 863's discard port, where nothing listens."""
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:9/0",
        }
    }
