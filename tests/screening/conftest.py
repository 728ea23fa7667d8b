"""Scanners for tests: scripted daemons, switched on by the very settings that switch real ones on."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.screening.daemons import FakeClamd, FakeRspamd


@pytest.fixture
def clamd(settings: Settings) -> Iterator[FakeClamd]:
    """A clamd that finds nothing until told otherwise."""
    server = FakeClamd()
    settings.CLAMD_URL = server.url
    yield server
    server.close()


@pytest.fixture
def rspamd(settings: Settings) -> Iterator[FakeRspamd]:
    """An rspamd that has nothing against any mail until told otherwise."""
    server = FakeRspamd()
    settings.RSPAMD_URL = server.url
    settings.RSPAMD_PASSWORD = "q1"
    yield server
    server.close()
