"""Live notices: "something changed in this mailbox", told to whoever has it open.

A notice carries the mailbox's id and nothing else; browsers fetch what they may see. It is told after the commit, does
not wait for the sequencer, and may be lost: a client that reconnects asks anew. Redis being away therefore only costs
liveness and is logged, never raised.

When a mailbox was last told of is kept in Redis for a while, so that a browser whose line opens knows whether anything
changed since it asked for its page (`quiet_ms`). What Redis forgets there is found by the browser's own minute.

Senders are threads, and the channel layer is asyncio: one background loop per process carries all notices, because a
loop (and its Redis connections) for each would cost more than the work it tells of.
"""

import asyncio
import threading
import uuid
from collections.abc import Iterable
from concurrent.futures import Future
from functools import cache

import structlog
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction
from redis import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

# A page whose line opens later than this after it was asked for is refreshed anyway.
REMEMBERED_MS = 600_000


def group_of_mailbox(mailbox_id: uuid.UUID) -> str:
    """The Channels group that hears of one mailbox."""
    return f"mailbox.{mailbox_id.hex}"


def announce(mailbox_ids: Iterable[uuid.UUID], topic: str = "messages") -> None:
    """Tell, after the caller's commit, that these mailboxes changed. `topic`: messages, deliveries or tickets."""
    groups = sorted({group_of_mailbox(mailbox_id) for mailbox_id in mailbox_ids})
    if groups:
        transaction.on_commit(lambda: _send(groups, topic))


def quiet_ms(groups: Iterable[str]) -> int:
    """For how long none of these groups was told anything; `REMEMBERED_MS` for longer. Raises RedisError.

    Whoever asks after joining the groups misses nothing: a change is remembered before it is told. Of Redis' clock
    alone, so that no two clocks are compared.
    """
    with _redis().pipeline(transaction=False) as pipe:
        for group in groups:
            pipe.pttl(_key(group))
        left: list[int] = pipe.execute()
    return REMEMBERED_MS - max([0, *left])


def _send(groups: list[str], topic: str) -> None:
    asyncio.run_coroutine_threadsafe(_send_all(groups, topic), _loop()).add_done_callback(_log_failure)


async def _send_all(groups: list[str], topic: str) -> None:
    layer = get_channel_layer()
    await asyncio.to_thread(_remember, groups)
    for group in groups:
        await layer.group_send(group, {"type": "mailbox.changed", "group": group, "topic": topic})


def _remember(groups: list[str]) -> None:
    with _redis().pipeline(transaction=False) as pipe:
        for group in groups:
            pipe.set(_key(group), 1, px=REMEMBERED_MS)
        pipe.execute()


def _key(group: str) -> str:
    return f"told:{group}"


@cache
def _redis() -> "Redis":
    return Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


def _log_failure(future: "Future[None]") -> None:
    error = future.exception()
    if isinstance(error, RedisError | OSError):
        log.warning("notice_not_sent", error=type(error).__name__)
    elif error is not None:
        log.error("notice_failed", exc_info=error)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="notices", daemon=True).start()
    return loop
