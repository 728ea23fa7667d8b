"""What ends a benchmark."""


class BenchFailed(Exception):
    """A row could not be measured as it claims to be; the text says why. No figure comes of it."""
