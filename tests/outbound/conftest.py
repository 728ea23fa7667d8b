"""What only the tests of this room need."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from tests.screening.conftest import clamd, rspamd

__all__ = ["clamd", "pytest_asyncio_loop_factories", "rspamd"]

Loops = dict[str, Callable[[], asyncio.AbstractEventLoop]]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Loops:
    """Conversations are tried on both loops: workers run on uvloop, and nothing else does."""
    loops: Loops = {"asyncio": asyncio.new_event_loop}
    if item.path.stem in {"test_conversation", "test_pipelining"}:
        loops["uvloop"] = uvloop.new_event_loop
    return loops
