"""Tell browsers, through the push services they named: Web Push (RFC 8030), encrypted so that only the browser reads it
(RFC 8291), signed so that the service knows the sender (VAPID, RFC 8292).

    claim     take due pushes for a minute
    compose   what is told, from what the person may see now; no session, no membership: nothing
    post      to a checked address, within seconds (webhooks.connection); no transaction is open
    record    taken, over, or due again

A crash between `post` and `record` tells a browser twice; the notification carries the conversation as its tag, so the
second replaces the first.
"""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import InterfaceError, OperationalError, connection
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from py_vapid import Vapid02

from apps.accounts.principal import Principal
from apps.mailboxes.models import MailboxEntry
from apps.mailboxes.selectors import entries_for
from apps.notifications.models import Because, Push, PushKey
from apps.notifications.queue import claim_due, record
from apps.notifications.services import wish_of
from apps.organisations.sealing import SealBroken, unseal
from apps.webhooks.connection import PushPolicy, post
from apps.webhooks.errors import PushFailed, WebhookInvalid
from apps.webhooks.target import read_target

log = structlog.get_logger(__name__)

AT_ONCE = 16
TTL_SECONDS = 3600
TOKEN_SECONDS = 12 * 3600
MAX_TEXT_CHARS = 200

R = TypeVar("R")


class Teller:
    """Pushes until nothing is due (`events.residents.Resident`)."""

    def __init__(self, policy: PushPolicy) -> None:
        self._policy = policy
        self._stopping = False
        self.is_woken = False

    def wake(self) -> None:
        self.is_woken = True

    def stop(self) -> None:
        self._stopping = True

    async def run(self) -> None:
        try:
            while not self._stopping and (claimed := await _in_thread(lambda: claim_due(AT_ONCE))):
                await asyncio.gather(*(self._tell(push) for push in claimed))
        except (OperationalError, InterfaceError) as error:
            log.warning("notifications_database_away", error=type(error).__name__)

    async def _tell(self, push: Push) -> None:
        status = await self._post(push)
        await _in_thread(lambda: record(push, status, timezone.now()))

    async def _post(self, push: Push) -> int | None:
        """The service's status; None when it did not answer, 0 when there is nothing to tell, or no way to."""
        parcel = await _in_thread(lambda: _pack(push, timezone.now()))
        if parcel is None:
            return 0
        body, headers = parcel
        try:
            target = read_target(push.subscription.endpoint, self._policy.allowed_networks)
            return await post(target, body, headers, self._policy)
        except WebhookInvalid:
            return 410  # no browser could be there: the operator's networks have changed
        except PushFailed as failure:
            log.info("notification_not_taken", push=str(push.pk), because=failure.code)
            return None


def _pack(push: Push, now: datetime) -> tuple[bytes, dict[str, str]] | None:
    from pywebpush import WebPusher  # brings two HTTP clients along, which no other process needs

    told = words_of(push, now)
    key = PushKey.objects.first()
    if told is None or key is None:
        return None
    browser = push.subscription
    try:
        pem = unseal(key.sealed_private_key, key.seal_purpose)
    except SealBroken:
        log.error(
            "push_key_lost"
        )  # SECRET_KEY was changed without its fallback: browsers must subscribe anew
        return None
    service = urlsplit(browser.endpoint)
    claims = {
        "aud": f"{service.scheme}://{service.netloc}",
        "sub": settings.WEB_ORIGIN
        if settings.WEB_ORIGIN.startswith("https:")
        else "mailto:postmaster@localhost",
        "exp": int(now.timestamp()) + TOKEN_SECONDS,
    }
    keys = {"p256dh": browser.p256dh, "auth": browser.auth}
    encoded = WebPusher({"endpoint": browser.endpoint, "keys": keys}).encode(json.dumps(told).encode())
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Encoding": "aes128gcm",
        "TTL": str(TTL_SECONDS),
        **Vapid02.from_pem(pem).sign(claims),
    }
    return encoded["body"], headers


def words_of(push: Push, now: datetime) -> dict[str, Any] | None:
    """What is told, as the person may see it now. None when their session or their mailbox is gone, when it is read, or
    when their quiet hours have begun."""
    browser = push.subscription
    if not Session.objects.filter(session_key=browser.session_key, expire_date__gt=now).exists():
        return None
    principal = Principal.of_user(browser.user)
    entry = (
        entries_for(principal)
        .filter(mailbox=push.mailbox_id, thread=push.thread_id)
        .select_related("message", "mailbox")
        .order_by("-sorted_at")
        .first()
    )
    if entry is None or not browser.user.is_active or (push.because == Because.MAIL and entry.is_read):
        return None
    wish = wish_of(principal)
    if wish.is_quiet(now):
        return None
    title, text = _told(push, entry) if wish.shows_mail else (str(Because(push.because).label), "")
    place = {"mailbox_id": entry.mailbox_id, "folder": entry.folder, "thread_id": entry.thread_id}
    return {
        "title": title[:MAX_TEXT_CHARS],
        "body": text[:MAX_TEXT_CHARS],
        "url": reverse("webmail:conversation", kwargs=place),
        "tag": str(entry.thread_id),
    }


def _told(push: Push, entry: MailboxEntry) -> tuple[str, str]:
    message = entry.message
    subject = message.subject or _("No subject")
    if push.because != Because.MAIL:
        return str(Because(push.because).label), subject
    return message.sender_name or message.sender_address or entry.mailbox.name, subject


async def _in_thread(work: Callable[[], R]) -> R:
    """Blocking work off the event loop; its database connection is given back afterwards."""

    def unit() -> R:
        try:
            return work()
        finally:
            connection.close()

    return await asyncio.to_thread(unit)
