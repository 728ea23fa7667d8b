"""The live line of a browser: "something changed in this mailbox", for the mailboxes its person may see; and who else
is at a conversation there (`presence.py`).

Of mail only ids travel, never texts: whoever hears of a change fetches it, and the fetch checks what they may see.
The person's mailboxes are asked for when the line opens and again at every ping, so somebody who was taken out of a
mailbox hears of it for one heartbeat longer at most, and somebody who was signed out or deactivated is cut off then.

When Redis is away the line is closed with 1013 ("try again later", RFC 6455's registry); the browser says so to its
person and comes back by itself.
"""

import asyncio
import contextlib
import time
import uuid
import zlib
from collections import deque
from typing import Any

import structlog
from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from redis.exceptions import RedisError

from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.events.notices import group_of_mailbox, quiet_ms
from apps.live.presence import Place, Present, leave, people_in, read_place, stay
from apps.mailboxes.models import MailboxEntry
from apps.mailboxes.selectors import visible_mailboxes

log = structlog.get_logger(__name__)

SIGNED_OUT = 4401
TRY_AGAIN_LATER = 1013
# Each ping costs three queries; a browser sends one every 25 s.
PINGS_AT_LEAST_SECONDS_APART = 3.0
# Whoever walks through a list with a key held down tells of some conversations, and not of all.
PLACES_IN_TEN_SECONDS = 20
# As the pages colour people: webmail.templatetags.mail.hue.
HUES = 8
# The Redis client tries again for some ten seconds by itself; a person should hear of it sooner.
LAYER_PATIENCE_SECONDS = 2.0


class MailboxNotices(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Sends {"hello": true, "quiet_ms": n}, for how long nothing changed, then {"mailbox": id, "topic": word} for each
    change, {"present": id, "people": []} when somebody comes or goes. Hears {"at": {…}}, the place of its person;
    anything else gets {"pong": true}."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Channels itself asks Redis for a channel before anything else of the line exists."""

        async def say(message: Any) -> None:
            # ASGI: sending to a browser that has left raises OSError. That it left is an event of its own, which must
            # still be heard (`disconnect`); and it is no fault of Redis.
            with contextlib.suppress(OSError):
                await send(message)

        try:
            await super().__call__(scope, receive, say)
        except (RedisError, OSError) as error:
            log.warning("live_layer_unavailable", error=type(error).__name__)
            await say({"type": "websocket.close", "code": TRY_AGAIN_LATER})

    async def connect(self) -> None:
        self.mailbox_of_group: dict[str, uuid.UUID] = {}
        self.last_ping_at = time.monotonic()
        self.place: Place | None = None
        self.places_told: deque[float] = deque(maxlen=PLACES_IN_TEN_SECONDS)
        await self.accept()
        if await self._follow_mailboxes():
            await self._greet()

    async def _greet(self) -> None:
        try:
            quiet = await asyncio.to_thread(quiet_ms, [*self.mailbox_of_group])
        except (RedisError, OSError) as error:
            log.warning("live_layer_unavailable", error=type(error).__name__)
            await self.close(code=TRY_AGAIN_LATER)
            return
        await self.send_json({"hello": True, "quiet_ms": quiet})

    async def receive(self, text_data: str | None = None, **_frame: object) -> None:
        """A browser says where its person is, or only that it is still there."""
        place = read_place(text_data)
        if place is not None:
            await self._move(place)
            return
        if time.monotonic() - self.last_ping_at < PINGS_AT_LEAST_SECONDS_APART:
            return
        self.last_ping_at = time.monotonic()
        if await self._follow_mailboxes():
            await self.send_json({"pong": True})

    async def disconnect(self, code: int) -> None:
        await self._be_at(None)
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

    async def presence_changed(self, event: dict[str, Any]) -> None:
        mailbox_id = self.mailbox_of_group.get(event["group"])
        if mailbox_id is not None:
            await self.send_json({"present": str(mailbox_id), "people": event["people"]})

    async def _move(self, place: Place) -> None:
        """Believe only in mailboxes that the person sees, and in conversations that lie there."""
        now = time.monotonic()
        if len(self.places_told) == PLACES_IN_TEN_SECONDS and now - self.places_told[0] < 10:
            return
        self.places_told.append(now)
        if place.mailbox_id not in self.mailbox_of_group.values():
            return
        if place != self.place and place.thread_id is not None and not await _lies_in(place):
            return
        await self._be_at(place)
        if place.thread_id is None:
            await self._tell_who_is_here(place.mailbox_id, only_me=True)

    async def _be_at(self, place: Place | None) -> None:
        """Come, stay or go, and let the colleagues know. While Redis is away nobody is anywhere."""
        before, self.place = self.place, place
        left = {one.mailbox_id for one in (before,) if one is not None and one.thread_id is not None}
        try:
            async with asyncio.timeout(LAYER_PATIENCE_SECONDS):
                if place is not None and place.thread_id is not None:
                    left.discard(place.mailbox_id)
                    await asyncio.to_thread(stay, place.mailbox_id, self.channel_name, self._present(place))
                    await self._tell_who_is_here(place.mailbox_id)
                for mailbox_id in left:
                    await asyncio.to_thread(leave, mailbox_id, self.channel_name)
                    await self._tell_who_is_here(mailbox_id)
        except (RedisError, OSError) as error:
            log.warning("presence_not_told", error=type(error).__name__)

    def _present(self, place: Place) -> Present:
        user = self.scope["user"]
        hue = zlib.crc32(user.name.lower().encode("utf-8", "surrogatepass")) % HUES
        return Present(
            str(user.pk), user.name, user.initials, hue, thread=str(place.thread_id), typing=place.is_typing
        )

    async def _tell_who_is_here(self, mailbox_id: uuid.UUID, *, only_me: bool = False) -> None:
        people = await asyncio.to_thread(people_in, mailbox_id)
        group = group_of_mailbox(mailbox_id)
        event = {"type": "presence.changed", "group": group, "people": people}
        if only_me:
            await self.presence_changed(event)
        else:
            await self.channel_layer.group_send(group, event)

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
        if self.place is not None and self.place.mailbox_id not in wanted.values():
            await self._be_at(None)
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
def _lies_in(place: Place) -> bool:
    return MailboxEntry.objects.filter(mailbox=place.mailbox_id, thread=place.thread_id).exists()


@database_sync_to_async  # type: ignore[untyped-decorator]  # channels has no types
def _mailbox_ids_of(user: User) -> list[uuid.UUID]:
    return list(visible_mailboxes(Principal.of_user(user)).values_list("pk", flat=True))
