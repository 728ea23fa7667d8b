"""The live line of a browser: "something changed in this mailbox", for the mailboxes its person may see.

Only ids travel, never texts: whoever hears of a change fetches it, and the fetch checks what they may see. The person's
mailboxes are asked for when the line opens and again at every ping, so somebody who was taken out of a mailbox hears of
it for one heartbeat longer at most, and somebody who was signed out or deactivated is cut off then.

When Redis is away the line is closed with 1013 ("try again later", RFC 6455's registry); the browser says so to its
person and comes back by itself.
"""

import asyncio
import time
import uuid
from typing import Any

import structlog
from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from redis.exceptions import RedisError

from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.events.notices import group_of_mailbox
from apps.mailboxes.selectors import visible_mailboxes

log = structlog.get_logger(__name__)

SIGNED_OUT = 4401
TRY_AGAIN_LATER = 1013
# Each ping costs three queries; a browser sends one every 25 s.
PINGS_AT_LEAST_SECONDS_APART = 3.0
# The Redis client tries again for some ten seconds by itself; a person should hear of it sooner.
LAYER_PATIENCE_SECONDS = 2.0


class MailboxNotices(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Sends {"hello": true}, then {"mailbox": id, "topic": word} for each change; any answer gets {"pong": true}."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Channels itself asks Redis for a channel before anything else of the line exists."""
        try:
            await super().__call__(scope, receive, send)
        except (RedisError, OSError) as error:
            log.warning("live_layer_unavailable", error=type(error).__name__)
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})

    async def connect(self) -> None:
        self.mailbox_of_group: dict[str, uuid.UUID] = {}
        self.last_ping_at = time.monotonic()
        await self.accept()
        if await self._follow_mailboxes():
            await self.send_json({"hello": True})

    async def receive(self, **_frame: object) -> None:
        """The only thing a browser says is that it is still there, so what it says in detail is not read."""
        if time.monotonic() - self.last_ping_at < PINGS_AT_LEAST_SECONDS_APART:
            return
        self.last_ping_at = time.monotonic()
        if await self._follow_mailboxes():
            await self.send_json({"pong": True})

    async def disconnect(self, code: int) -> None:
        try:
            async with asyncio.timeout(LAYER_PATIENCE_SECONDS):
                for group in self.mailbox_of_group:
                    await self.channel_layer.group_discard(group, self.channel_name)
        except (RedisError, OSError) as error:
            # The layer forgets the channels of closed lines by itself.
            log.warning("live_layer_unavailable", error=type(error).__name__)

    async def mailbox_changed(self, event: dict[str, str]) -> None:
        mailbox_id = self.mailbox_of_group.get(event["group"])
        if mailbox_id is not None:
            await self.send_json({"mailbox": str(mailbox_id), "topic": event["topic"]})

    async def _follow_mailboxes(self) -> bool:
        """Hear of exactly the mailboxes the person may see now; False when the line was closed instead."""
        mailbox_ids = await self._visible_mailbox_ids()
        if mailbox_ids is None:
            await self.close(code=SIGNED_OUT)
            return False
        wanted = {group_of_mailbox(mailbox_id): mailbox_id for mailbox_id in mailbox_ids}
        try:
            async with asyncio.timeout(LAYER_PATIENCE_SECONDS):
                for group in wanted.keys() - self.mailbox_of_group.keys():
                    await self.channel_layer.group_add(group, self.channel_name)
                for group in self.mailbox_of_group.keys() - wanted.keys():
                    await self.channel_layer.group_discard(group, self.channel_name)
        except (RedisError, OSError) as error:
            log.warning("live_layer_unavailable", error=type(error).__name__)
            await self.close(code=TRY_AGAIN_LATER)
            return False
        self.mailbox_of_group = wanted
        return True

    async def _visible_mailbox_ids(self) -> list[uuid.UUID] | None:
        """None for whoever is not signed in (any more): the person and the session's row are read anew."""
        user = await get_user(self.scope)
        if not isinstance(user, User) or not await self._session_exists():
            return None
        mailbox_ids: list[uuid.UUID] = await _mailbox_ids_of(user)
        return mailbox_ids

    async def _session_exists(self) -> bool:
        session = self.scope["session"]
        return bool(session.session_key) and await session.aexists(session.session_key)


@database_sync_to_async  # type: ignore[untyped-decorator]  # channels has no types
def _mailbox_ids_of(user: User) -> list[uuid.UUID]:
    return list(visible_mailboxes(Principal.of_user(user)).values_list("pk", flat=True))
