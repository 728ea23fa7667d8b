"""Webhooks: made, changed, tested, taken away; for admins."""

import uuid

from django.conf import settings
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.schema import documents, page_of
from apps.api.serializers.queries import PageQuery
from apps.api.serializers.webhooks import (
    CreatedWebhookSerializer,
    NewWebhookSerializer,
    WebhookChangeSerializer,
    WebhookDeliverySerializer,
    WebhookSerializer,
)
from apps.api.views.base import ApiView
from apps.webhooks.selectors import deliveries_of, webhook_for, webhooks_for
from apps.webhooks.services import change_webhook, create_webhook, delete_webhook, send_test_event


class WebhooksView(ApiView):
    """Pushes are signed as Standard Webhooks 1.0 has it, carry ids and no words, and come at least once."""

    @documents(
        "list_webhooks",
        "Webhooks, newest first; for admins",
        answers={200: page_of(WebhookSerializer)},
        query=PageQuery,
        problems=(404,),
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(PageQuery)
        return self.page(webhooks_for(self.principal), query, by="created_at", kind=WebhookSerializer)

    @documents(
        "create_webhook",
        "Have events pushed to a URL",
        answers={201: CreatedWebhookSerializer},
        request=NewWebhookSerializer,
        problems=(400, 404),
    )
    def post(self, request: Request) -> Response:
        body = self.read_body(NewWebhookSerializer)
        webhook, secret = create_webhook(
            self.principal, **body, allowed=settings.WEBHOOK_ALLOWED_NETWORKS, now=timezone.now()
        )
        answer = WebhookSerializer(webhook).data | {"secret": secret}
        return Response(answer, status=201)


class WebhookView(ApiView):
    """One webhook. Its secret cannot be read again; make a new webhook where it was lost."""

    @documents("get_webhook", "A webhook", answers={200: WebhookSerializer}, problems=(404,))
    def get(self, request: Request, webhook_id: uuid.UUID) -> Response:
        return Response(WebhookSerializer(webhook_for(self.principal, webhook_id)).data)

    @documents(
        "change_webhook",
        "Change a webhook, or switch it on and off",
        answers={200: WebhookSerializer},
        request=WebhookChangeSerializer,
        problems=(400, 404),
    )
    def patch(self, request: Request, webhook_id: uuid.UUID) -> Response:
        webhook = webhook_for(self.principal, webhook_id)
        changed = change_webhook(
            self.principal,
            webhook,
            **self.read_body(WebhookChangeSerializer),
            allowed=settings.WEBHOOK_ALLOWED_NETWORKS,
            now=timezone.now(),
        )
        return Response(WebhookSerializer(changed).data)

    @documents(
        "delete_webhook", "Take a webhook away, and what waits for it", answers={204: None}, problems=(404,)
    )
    def delete(self, request: Request, webhook_id: uuid.UUID) -> Response:
        delete_webhook(self.principal, webhook_for(self.principal, webhook_id))
        return Response(status=204)


class TestWebhookView(ApiView):
    """The answer is the delivery that waits; ask for it again to see what came of it."""

    @documents(
        "test_webhook",
        "Push a `webhook.tested` event",
        answers={202: WebhookDeliverySerializer},
        problems=(404, 409),
    )
    def post(self, request: Request, webhook_id: uuid.UUID) -> Response:
        webhook = webhook_for(self.principal, webhook_id)
        delivery = send_test_event(self.principal, webhook, timezone.now())
        return Response(WebhookDeliverySerializer(delivery).data, status=202)


class WebhookDeliveriesView(ApiView):
    """What ended is kept for two weeks."""

    @documents(
        "list_webhook_deliveries",
        "What was pushed and what waits, newest first",
        answers={200: page_of(WebhookDeliverySerializer)},
        query=PageQuery,
        problems=(404,),
    )
    def get(self, request: Request, webhook_id: uuid.UUID) -> Response:
        query = self.read_query(PageQuery)
        webhook = webhook_for(self.principal, webhook_id)
        rows = deliveries_of(self.principal, webhook)
        return self.page(rows, query, by="created_at", kind=WebhookDeliverySerializer)
