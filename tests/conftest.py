"""What every test may use. The servers are started earlier, by the plugin `tests.servers`."""

from tests.people import house, stranger
from tests.remote.fixture import relay, remote

__all__ = ["house", "relay", "remote", "stranger"]
