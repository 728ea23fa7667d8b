"""After a replay: wait until what was accepted is filed, and fetch it back to compare.

The comparison goes over REST, the way a customer of ours would do it: with the organisation's key, over HTTP, for the
bytes behind `GET /api/v1/messages/{id}/raw`.
"""

import hashlib
import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.db.models import Count

from apps.inbound.errors import ReplayImpossible
from apps.inbound.models import ReceivedMessage, ReceivedState
from apps.inbound.replay import Outcome

POLL_SECONDS = 0.25
STALLED_SECONDS = 90
FETCHERS = 4
FETCH_SECONDS = 30


@dataclass(slots=True)
class Comparison:
    """How many came back as they were sent, and which did not, with the reason."""

    identical: int = 0
    different: list[str] = field(default_factory=list)


def states_of(senders_prefix: str) -> Counter[str]:
    """How many of a run's rows are in which state."""
    rows = ReceivedMessage.objects.filter(envelope_sender__startswith=senders_prefix)
    return Counter(dict(rows.values_list("state").annotate(count=Count("pk"))))


def wait_until_filed(senders_prefix: str, expected: int, on_progress: Callable[[int], None]) -> Counter[str]:
    """Poll until `expected` rows are filed or held, or until nothing has moved for 90 s; the states at the end."""
    done = -1
    moved_at = time.monotonic()
    while True:
        states = states_of(senders_prefix)
        now_done = states[ReceivedState.FILED] + states[ReceivedState.HELD]
        if now_done != done:
            done, moved_at = now_done, time.monotonic()
            on_progress(done)
        if done >= expected or time.monotonic() - moved_at > STALLED_SECONDS:
            return states
        time.sleep(POLL_SECONDS)


def compare(
    outcomes: Sequence[Outcome],
    senders_prefix: str,
    *,
    web: str,
    api_key: str,
    on_compared: Callable[[], None],
) -> Comparison:
    """Fetch every accepted mail back over REST. Raises ReplayImpossible when the API does not answer."""
    rows = ReceivedMessage.objects.filter(envelope_sender__startswith=senders_prefix)
    places = {
        sender: f"messages/{message_id}" if message_id else f"held/{held_id}" if held_id else ""
        for sender, message_id, held_id in rows.values_list("envelope_sender", "message_id", "held_id")
    }
    comparison = Comparison()
    fetch = _Fetcher(web, api_key)

    def look(outcome: Outcome) -> str:
        place = places.get(outcome.sender)
        if not place:
            return "is neither filed nor held"
        status, body = fetch.raw(place)
        if status != 200:
            return f"GET answered {status}"
        return "" if hashlib.sha256(body).digest() == outcome.sha256 else "came back with other bytes"

    with fetch.open(), ThreadPoolExecutor(FETCHERS) as threads:
        for outcome, difference in zip(outcomes, threads.map(look, outcomes), strict=True):
            if difference:
                comparison.different.append(f"{outcome.path.name} {difference}")
            else:
                comparison.identical += 1
            on_compared()
    return comparison


class _Fetcher:
    """Raw messages over HTTP, one kept connection a thread."""

    def __init__(self, web: str, api_key: str) -> None:
        parts = urlsplit(web)
        self._netloc = parts.netloc
        self._secure = parts.scheme == "https"
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    @contextmanager
    def open(self) -> Iterator[None]:
        """Close every thread's connection when the block ends."""
        try:
            yield
        finally:
            for connection in self._opened:
                connection.close()

    def raw(self, place: str) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            connection.request("GET", f"/api/v1/{place}/raw", headers=self._headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ReplayImpossible(f"the API at {self._netloc} does not answer: {error}") from error

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            connection = self._local.connection = kind(self._netloc, timeout=FETCH_SECONDS)
            self._opened.append(connection)
        return connection
