"""Who looks at which conversation now, and who is writing an answer to it.

In Redis, one hash for each mailbox: the line of a browser, and where its person is. An entry is good for a minute and
is renewed by the browser's heartbeat, so a process or a laptop that dies leaves nobody behind. Redis being flushed
costs one heartbeat. Nothing of it is kept.

Limits: the clocks of the web processes may differ by seconds; an entry then lives as much longer or shorter.
"""

import json
import time
import uuid
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from django.conf import settings
from redis import Redis

GOOD_FOR_SECONDS = 60
# A mailbox with more people in it at once than anybody would read the names of.
MOST_TOLD = 50


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is; without a thread, in the mailbox's list."""

    mailbox_id: uuid.UUID
    thread_id: uuid.UUID | None
    is_typing: bool


@dataclass(frozen=True, slots=True)
class Present:
    """A person at a conversation, as their colleagues are told."""

    person: str
    name: str
    initials: str
    hue: int
    thread: str
    typing: bool


def stay(mailbox_id: uuid.UUID, line: str, present: Present) -> None:
    """Somebody is there, for another minute."""
    entry = json.dumps(asdict(present) | {"until": time.time() + GOOD_FOR_SECONDS})
    with _redis().pipeline(transaction=False) as pipe:
        pipe.hset(_key(mailbox_id), line, entry)
        pipe.expire(_key(mailbox_id), GOOD_FOR_SECONDS)
        pipe.execute()


def leave(mailbox_id: uuid.UUID, line: str) -> None:
    """They have gone, or have closed the page."""
    _redis().hdel(_key(mailbox_id), line)


def people_in(mailbox_id: uuid.UUID) -> list[dict[str, Any]]:
    """Who is there now; entries of who left without a word are cleared away."""
    entries: dict[bytes, bytes] = _redis().hgetall(_key(mailbox_id))  # type: ignore[assignment]
    now = time.time()
    read = {line: json.loads(entry) for line, entry in entries.items()}
    gone = [line for line, entry in read.items() if entry["until"] < now]
    if gone:
        _redis().hdel(_key(mailbox_id), *gone)
    here = [entry for entry in read.values() if entry.pop("until") >= now]
    return here[:MOST_TOLD]


def read_place(text: str | None) -> Place | None:
    """What a browser says: {"at": {"mailbox", "thread", "typing"}}. None for anything else."""
    if text is None or len(text) > 500:
        return None
    try:
        said = json.loads(text)["at"]
        thread = said.get("thread")
        return Place(
            uuid.UUID(said["mailbox"]), uuid.UUID(thread) if thread else None, said.get("typing") is True
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _key(mailbox_id: uuid.UUID) -> str:
    return f"presence:{mailbox_id.hex}"


@cache
def _redis() -> "Redis":
    return Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
