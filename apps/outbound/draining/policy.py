"""The bounds of one process's drain of one lane."""

from dataclasses import dataclass, field

from apps.outbound.delivery import LeasePolicy
from apps.outbound.relay import RelayPolicy
from apps.outbound.retry import DEFAULT_RETRY_POLICY, RetryPolicy


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """How much at a time, and how long to wait for what.

    `claims` are taken up together and `batch` asked or written together; `linger_seconds` is how long the first of a
    batch waits for company, `gather_seconds` how long free places do. What has passed the fence when the drain is
    stopped has `grace_seconds` to hear its answer, and a result is tried to be written for `record_patience_seconds`.

    `in_flight` decides how fast a slow server can be written to: one destination alone gets half of it (`places`), and
    a mail holds its place while it is prepared too. At 20 ms a reply 512 places let 910 a second leave, 1024 let 1,070;
    at 100 ms two round trips alone are 0.2 s. A place costs nothing, a line 8 KB, and bytes have a bound of their own.
    """

    claims: int = 100
    in_flight: int = 1024
    batch: int = 100
    bytes_in_flight: int = 64 * 1024 * 1024
    bytes_kept: int = 8 * 1024 * 1024
    database_threads: int = 6
    linger_seconds: float = 0.004
    gather_seconds: float = 0.02
    grace_seconds: float = 3
    record_patience_seconds: float = 120
    lease: LeasePolicy = field(default_factory=LeasePolicy)
    relay: RelayPolicy = field(default_factory=RelayPolicy)
    retry: RetryPolicy = DEFAULT_RETRY_POLICY
