import pytest

from tests.api.client import Api
from tests.people import House


@pytest.fixture
def api(house: House) -> Api:
    """Called with the organisation's own admin key."""
    return Api.of(house.secret)


@pytest.fixture
def outsider(stranger: House) -> Api:
    """Called with the admin key of another organisation."""
    return Api.of(stranger.secret)
