"""What every test may use. The servers are started earlier, by the plugin `tests.servers`."""

from tests.people import house, stranger

__all__ = ["house", "stranger"]
