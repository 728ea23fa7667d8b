"""Reading webhooks. They tell of the whole organisation, so only its admins see them; to others there are none."""

import uuid

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.webhooks.models import Webhook, WebhookDelivery


def webhooks_for(principal: Principal) -> QuerySet[Webhook]:
    """The organisation's webhooks. Raises NotVisible for who is no admin."""
    if not principal.is_admin:
        raise NotVisible("webhooks")
    return Webhook.objects.filter(organisation_id=principal.organisation_id)


def webhook_for(principal: Principal, webhook_id: uuid.UUID | str) -> Webhook:
    """One of them. Raises NotVisible."""
    try:
        return webhooks_for(principal).get(pk=webhook_id)
    except (Webhook.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(webhook_id)) from error


def deliveries_of(principal: Principal, webhook: Webhook) -> QuerySet[WebhookDelivery]:
    """What was pushed to a webhook within the last weeks, and what waits. Raises NotVisible."""
    webhook_for(principal, webhook.pk)
    return WebhookDelivery.objects.filter(webhook=webhook).select_related("event")
