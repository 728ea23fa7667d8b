"""Waking a worker, because something is due.

What is due is in PostgreSQL; a wake-up carries none of it. One that is lost (Redis away, a process killed) is no loss:
a sweeper finds the row within a second or two. With every worker away, or all of them busy, a wake-up for each look
of a sweeper would pile up in Redis for as long as that lasts; so a sweeper `call`s, which wakes once, and again when
somebody came or after a while. The mark of it lies in Redis, so all sweepers share it. Redis being away costs nothing:
no call would get through either.
"""

from dataclasses import dataclass

import dramatiq
import structlog
from django.core.cache import cache
from dramatiq.errors import DramatiqError
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

UNANSWERED_SECONDS = 10


@dataclass(frozen=True, slots=True)
class WakeUp:
    """Which actor is woken, and with which word.

    By its name, because what the actor runs is what wakes it: neither module could import the other first.
    """

    queue: str
    actor: str
    word: str = ""

    def send(self) -> None:
        """Wake a worker now. Raises nothing: whoever wakes has committed, and somebody will look."""
        words = (self.word,) if self.word else ()
        message: dramatiq.Message[None] = dramatiq.Message(self.queue, self.actor, words, {}, {})
        try:
            dramatiq.get_broker().enqueue(message)
        except (DramatiqError, RedisError, OSError) as error:
            log.warning("wake_up_not_told", name=self._name, error=type(error).__name__)

    def call(self) -> None:
        """Wake a worker, unless one was called a moment ago and nobody came yet."""
        try:
            may_call = cache.add(f"called:{self._name}", 1, UNANSWERED_SECONDS)
        except RedisError as error:
            log.warning("call_not_made", name=self._name, error=type(error).__name__)
        else:
            if may_call:
                self.send()

    def answer(self) -> None:
        """A worker came: a sweeper may call for another."""
        try:
            cache.delete(f"called:{self._name}")
        except RedisError as error:
            log.warning("call_not_answered", name=self._name, error=type(error).__name__)

    @property
    def _name(self) -> str:
        # With the actor: two that share a queue are called for different things.
        return ":".join(filter(None, (self.queue, self.actor, self.word)))
