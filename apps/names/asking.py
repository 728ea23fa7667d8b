"""Questions to DNS from threads that may wait, but not for long.

One event loop in a thread of its own serves the whole process, so that there is one cache, one breaker and one way of
asking (`resolver`), however many threads ask. A piece of work asks through a `Budget`: all its questions together take
no longer than that, and what it will need later it can have asked for at once (`ahead`).

What is known, and what need not be asked because the name servers are down, is answered in the caller's own thread.

Strangers choose some of the names, and their servers may be as slow as they like. So threads wait for `SHORT_SECONDS`
as they wish, and longer only as many at a time as `long_waits` allows; for the others the time is over then.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar

import dns.resolver

from apps.names.resolver import (
    IPAddress,
    MxRecord,
    NamesUnavailable,
    NoSuchName,
    Resolver,
    addresses_in,
    exchangers_in,
    pointers_in,
    texts_in,
)

R = TypeVar("R")
OUT_OF_TIME = "the name servers took too long"
SHORT_SECONDS = 0.5


class Names(Protocol):
    """What a piece of work asks. What does not exist is an empty list; each raises NamesUnavailable."""

    def texts(self, name: str) -> Sequence[str]: ...

    def addresses(self, name: str, version: int) -> Sequence[IPAddress]: ...

    def exchangers(self, name: str) -> Sequence[MxRecord]: ...

    def pointers(self, name: str) -> Sequence[str]: ...

    def ahead(self, *names: str) -> None:
        """The texts at these names will be asked for soon. Never raises."""


class SharedNames:
    """A resolver for all threads of a process. Its own thread begins with the first question it must really ask.

    `long_waits` is how many of them may wait for long at the same time; None: all.
    """

    def __init__(self, resolver: Resolver, *, long_waits: int | None = None) -> None:
        self._resolver = resolver
        self._long_waits = threading.BoundedSemaphore(long_waits) if long_waits is not None else None
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def within(self, seconds: float) -> "Budget":
        return Budget(self, time.monotonic() + seconds)

    def wait(self, begun: Future[R], short: float, long: float) -> R:
        """What was begun, after `long` seconds at most; after `short` where too many wait for long. Raises
        TimeoutError."""
        if self._long_waits is None:
            return begun.result(long)
        try:
            return begun.result(min(short, long))
        except TimeoutError:
            if short >= long or not self._long_waits.acquire(blocking=False):
                raise
        try:
            return begun.result(long - short)
        finally:
            self._long_waits.release()

    def at_once(self, name: str, kind: str) -> dns.resolver.Answer | None:
        try:
            return self._resolver.at_once(name, kind)
        finally:
            if self._resolver.wants_probe():
                asyncio.run_coroutine_threadsafe(self._resolver.probe(), self._running())

    def begin(self, name: str, kind: str) -> Future[dns.resolver.Answer]:
        return asyncio.run_coroutine_threadsafe(self._resolver.ask(name, kind), self._running())

    def close(self) -> None:
        """End its thread; questions that are under way get no answer."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_serve, args=[self._loop], name="names", daemon=True).start()
            return self._loop


class Budget:
    """Names, for one piece of work in one thread, until `deadline` by time.monotonic."""

    def __init__(self, names: SharedNames, deadline: float) -> None:
        self._names = names
        self._deadline = deadline
        self._short_left = SHORT_SECONDS
        self._begun: dict[tuple[str, str], Future[dns.resolver.Answer]] = {}

    def texts(self, name: str) -> list[str]:
        return self._ask(name, "TXT", texts_in)

    def addresses(self, name: str, version: int) -> list[IPAddress]:
        return self._ask(name, "AAAA" if version == 6 else "A", addresses_in)

    def exchangers(self, name: str) -> list[MxRecord]:
        return self._ask(name, "MX", exchangers_in)

    def pointers(self, name: str) -> list[str]:
        return self._ask(name, "PTR", pointers_in)

    def ahead(self, *names: str) -> None:
        for name in names:
            if (name, "TXT") in self._begun:
                continue
            try:
                if self._names.at_once(name, "TXT") is None:
                    self._begun[name, "TXT"] = self._names.begin(name, "TXT")
            except (NoSuchName, NamesUnavailable):
                continue  # whoever asks for it hears so

    def _ask(self, name: str, kind: str, read: Callable[[dns.resolver.Answer], list[R]]) -> list[R]:
        try:
            return read(self._answer(name, kind))
        except NoSuchName:
            return []

    def _answer(self, name: str, kind: str) -> dns.resolver.Answer:
        begun = self._begun.pop((name, kind), None)
        if begun is None:
            known = self._names.at_once(name, kind)
            if known is not None:
                return known
            if time.monotonic() >= self._deadline:
                raise NamesUnavailable(OUT_OF_TIME)
            begun = self._names.begin(name, kind)
        asked_at = time.monotonic()
        try:
            return self._names.wait(begun, self._short_left, max(0.0, self._deadline - asked_at))
        except TimeoutError as error:
            # Not cancelled: its answer, when it comes, serves the next mail.
            raise NamesUnavailable(OUT_OF_TIME) from error
        finally:
            self._short_left = max(0.0, self._short_left - (time.monotonic() - asked_at))


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for one in left:
        one.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()
