"""Who is alive: each process tells Redis every two seconds, and its word is good for ten.

A process beats only while its own check passes: `receive` when its port answers, `work` when its threads live. A beat
that cannot be told (Redis away) is logged once until it can be told again.
"""

import os
import socket
import threading
from collections.abc import Callable
from typing import Literal

import structlog
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

ProcessKind = Literal["receive", "work", "schedule"]
PROCESS_KINDS: tuple[ProcessKind, ...] = ("receive", "work", "schedule")
INTERVAL_SECONDS = 2.0
GOOD_FOR_SECONDS = 10


class Heartbeat:
    """Beats from a thread of its own until stopped."""

    def __init__(self, kind: ProcessKind, *, check: Callable[[], bool]) -> None:
        self._key = _key(kind)
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._check = check
        self._redis = connect()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._told = True

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End at once, and take the word back so that nobody counts on this process."""
        self._stopped.set()
        self._thread.join(INTERVAL_SECONDS * 2)
        try:
            self._redis.zrem(self._key, self._name)
        except RedisError as error:
            log.warning("heartbeat_not_told", error=type(error).__name__)

    def _run(self) -> None:
        while not self._stopped.is_set():
            if self._check():
                self._beat()
            self._stopped.wait(INTERVAL_SECONDS)

    def _beat(self) -> None:
        try:
            now = _now(self._redis)
            self._redis.zadd(self._key, {self._name: now})
            self._redis.zremrangebyscore(self._key, 0, now - GOOD_FOR_SECONDS)
            self._told = True
        except RedisError as error:
            if self._told:
                log.warning("heartbeat_not_told", error=type(error).__name__)
            self._told = False


def connect() -> Redis:
    """A client that gives up quickly: asking whether all is well must not hang."""
    client: Redis = Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
    return client


def living(redis: Redis) -> dict[str, int]:
    """How many processes of each kind live. Raises RedisError."""
    since = _now(redis) - GOOD_FOR_SECONDS
    return {kind: int(redis.zcount(_key(kind), since, "+inf")) for kind in PROCESS_KINDS}


def _key(kind: str) -> str:
    return f"alive:{kind}"


def _now(redis: Redis) -> float:
    """Seconds by Redis' clock, the one all machines share."""
    seconds, microseconds = redis.time()
    return float(seconds) + float(microseconds) / 1e6
