"""The listener, as the tests of its own room start it."""

from tests.inbound.conftest import listen, port

__all__ = ["listen", "port"]
