"""What every test may use. The servers are started earlier, by the plugin `tests.servers`."""

import hypothesis
import pytest

from tests.emptying import empty_only_what_is_full
from tests.people import house, stranger
from tests.remote.fixture import relay, remote

__all__ = ["empty_only_what_is_full", "house", "relay", "remote", "stranger"]

# The same commit has the same result: no draw decides over a change, and no busy machine by how long an example took.
hypothesis.settings.register_profile("house", deadline=None, derandomize=True)
hypothesis.settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test` takes the walks that are marked `sampled`, `make test-slow` all that photograph what they see."""
    parser.addoption(
        "--whole-matrix",
        action="store_true",
        help="run what photographs a state, and photograph it in all sizes and schemes",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before `-m` chooses: who photographs is of the matrix, and of `make test` only where it says so."""
    photographed = [one for one in items if "photograph" in getattr(one, "fixturenames", ())]
    for one in photographed:
        if one.get_closest_marker("sampled") is None:
            one.add_marker("matrix")
    if config.getoption("--whole-matrix"):
        items[:] = photographed
