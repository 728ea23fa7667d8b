"""Making, changing and testing webhooks. The secret is returned once and cannot be shown again.

`allowed` are the networks an operator allows beyond public ones; the edge reads the setting.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from apps.accounts.principal import Principal
from apps.events.models import Event
from apps.events.services import publish
from apps.mime.clean import clean_line
from apps.organisations.models import new_id
from apps.organisations.sealing import seal
from apps.webhooks.addresses import Network
from apps.webhooks.errors import WebhookInvalid, WebhookNotActive
from apps.webhooks.kinds import MAX_KINDS, TESTED, is_well_formed
from apps.webhooks.models import DisabledBecause, Webhook, WebhookDelivery
from apps.webhooks.payload import make_secret, shown_secret
from apps.webhooks.queue import PUSH, disable
from apps.webhooks.selectors import webhook_for, webhooks_for
from apps.webhooks.target import read_target

MAX_WEBHOOKS = 50
MAX_DESCRIPTION_CHARS = 200


@transaction.atomic
def create_webhook(
    principal: Principal,
    *,
    url: str,
    event_kinds: Sequence[str],
    description: str = "",
    allowed: Sequence[Network],
    now: datetime,
) -> tuple[Webhook, str]:
    """A new webhook and its secret, which only the caller ever sees. Raises WebhookInvalid, NotVisible."""
    if webhooks_for(principal).count() >= MAX_WEBHOOKS:
        raise WebhookInvalid("url", f"An organisation has at most {MAX_WEBHOOKS} webhooks.")
    read_target(url, allowed)
    secret = make_secret()
    webhook = Webhook(
        id=new_id(),
        organisation_id=principal.organisation_id,
        url=url,
        description=_description(description),
        event_kinds=_kinds(event_kinds),
        created_at=now,
    )
    webhook.sealed_secret = seal(secret, webhook.seal_purpose)
    webhook.save(force_insert=True)
    _tell(principal, webhook, "webhook.created")
    return webhook, shown_secret(secret)


@transaction.atomic
def change_webhook(
    principal: Principal,
    webhook: Webhook,
    *,
    url: str | None = None,
    event_kinds: Sequence[str] | None = None,
    description: str | None = None,
    is_active: bool | None = None,
    allowed: Sequence[Network],
    now: datetime,
) -> Webhook:
    """Change what is given and leave the rest. Switching it on forgets that it failed. Raises WebhookInvalid."""
    webhook_for(principal, webhook.pk)
    changes: dict[str, object] = {}
    if url is not None:
        read_target(url, allowed)
        changes["url"] = url
    if event_kinds is not None:
        changes["event_kinds"] = _kinds(event_kinds)
    if description is not None:
        changes["description"] = _description(description)
    if is_active or "url" in changes:
        # Another address deserves a fresh try, whatever the old one did.
        changes |= {"failing_since": None, "paused_until": None}
    if is_active:
        changes |= {"is_active": True, "disabled_because": DisabledBecause.NOT, "disabled_at": None}
    if changes:
        Webhook.objects.filter(pk=webhook.pk).update(**changes)
        _tell(principal, webhook, "webhook.changed")
        transaction.on_commit(PUSH.send)
    if is_active is False:
        disable(webhook.pk, DisabledBecause.BY_PERSON, now, actor=principal.actor)
    return webhook_for(principal, webhook.pk)


@transaction.atomic
def delete_webhook(principal: Principal, webhook: Webhook) -> None:
    """Take it away with everything that waits for it."""
    webhook_for(principal, webhook.pk).delete()
    _tell(principal, webhook, "webhook.deleted")


@transaction.atomic
def send_test_event(principal: Principal, webhook: Webhook, now: datetime) -> WebhookDelivery:
    """Push a `webhook.tested` event to this webhook alone; its delivery says what came of it. Raises WebhookNotActive.

    A webhook that is paused because it fails is tried at once.
    """
    if not webhook_for(principal, webhook.pk).is_active:
        msg = "It is switched off. Switch it on first."
        raise WebhookNotActive(msg)
    event = _tell(principal, webhook, TESTED)
    delivery = WebhookDelivery.objects.create(
        organisation_id=webhook.organisation_id, webhook=webhook, event=event, due_at=now, created_at=now
    )
    Webhook.objects.filter(pk=webhook.pk).update(paused_until=None)
    transaction.on_commit(PUSH.send)
    return delivery


def _tell(principal: Principal, webhook: Webhook, kind: str) -> Event:
    return publish(webhook.organisation_id, kind, actor=principal.actor, webhook=str(webhook.pk))


def _kinds(kinds: Sequence[str]) -> list[str]:
    unique = list(dict.fromkeys(kinds))
    if not 0 < len(unique) <= MAX_KINDS:
        raise WebhookInvalid("event_kinds", f"1 to {MAX_KINDS} kinds are wanted; `*` is all of them.")
    for n, kind in enumerate(unique):
        if not is_well_formed(kind):
            raise WebhookInvalid(f"event_kinds[{n}]", "A kind looks like `ticket.opened`, `ticket.*` or `*`.")
    return unique


def _description(text: str) -> str:
    line = clean_line(text, MAX_DESCRIPTION_CHARS + 1)
    if len(line) > MAX_DESCRIPTION_CHARS:
        raise WebhookInvalid("description", f"At most {MAX_DESCRIPTION_CHARS} characters.")
    return line
