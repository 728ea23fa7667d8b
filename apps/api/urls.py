"""The REST API's addresses. What leads nowhere under /api/ is answered as a problem too, not as a web page."""

from django.urls import path, re_path
from django.views.generic import RedirectView

from apps.api.views import (
    app_passwords,
    documentation,
    domains,
    errors,
    limits,
    mailboxes,
    messages,
    queue,
    relays,
    suppressions,
    tickets,
    webhooks,
)

_KEY = "v1/domains/<uuid:domain_id>/keys/<uuid:key_id>"

app_name = "api"

urlpatterns = [
    path("schema/", documentation.SchemaView.as_view(), name="schema"),
    path("docs/", documentation.docs, name="docs"),
    path("docs", RedirectView.as_view(pattern_name="api:docs")),
    path("v1/messages", messages.MessagesView.as_view(), name="messages"),
    path("v1/messages/<uuid:message_id>", messages.MessageView.as_view(), name="message"),
    path("v1/messages/<uuid:message_id>/raw", messages.RawMessageView.as_view(), name="raw"),
    path("v1/messages/<uuid:message_id>/events", messages.MessageEventsView.as_view(), name="events"),
    path(
        "v1/messages/<uuid:message_id>/attachments/<int:n>",
        messages.AttachmentView.as_view(),
        name="attachment",
    ),
    path("v1/messages/<uuid:message_id>/cancel", messages.CancelMessageView.as_view(), name="cancel"),
    path("v1/messages/<uuid:message_id>/retry", messages.RetryMessageView.as_view(), name="retry"),
    path(
        "v1/messages/<uuid:message_id>/reschedule",
        messages.RescheduleMessageView.as_view(),
        name="reschedule",
    ),
    path("v1/messages/<uuid:message_id>/deliveries", messages.DeliveriesView.as_view(), name="deliveries"),
    path("v1/mailboxes", mailboxes.MailboxesView.as_view(), name="mailboxes"),
    path(
        "v1/mailboxes/<uuid:mailbox_id>/messages",
        mailboxes.MailboxMessagesView.as_view(),
        name="mailbox-messages",
    ),
    path(
        "v1/mailboxes/<uuid:mailbox_id>/acknowledgement",
        mailboxes.AcknowledgementRuleView.as_view(),
        name="acknowledgement-rule",
    ),
    path("v1/tickets", tickets.TicketsView.as_view(), name="tickets"),
    path("v1/tickets/<uuid:ticket_id>", tickets.TicketView.as_view(), name="ticket"),
    path("v1/tickets/<uuid:ticket_id>/replies", tickets.RepliesView.as_view(), name="replies"),
    path("v1/tickets/<uuid:ticket_id>/notes", tickets.NotesView.as_view(), name="notes"),
    path("v1/app-passwords", app_passwords.AppPasswordsView.as_view(), name="app-passwords"),
    path(
        "v1/app-passwords/<uuid:app_password_id>",
        app_passwords.AppPasswordView.as_view(),
        name="app-password",
    ),
    path("v1/queue", queue.QueueView.as_view(), name="queue"),
    path("v1/webhooks", webhooks.WebhooksView.as_view(), name="webhooks"),
    path("v1/webhooks/<uuid:webhook_id>", webhooks.WebhookView.as_view(), name="webhook"),
    path("v1/webhooks/<uuid:webhook_id>/test", webhooks.TestWebhookView.as_view(), name="test-webhook"),
    path(
        "v1/webhooks/<uuid:webhook_id>/deliveries",
        webhooks.WebhookDeliveriesView.as_view(),
        name="webhook-deliveries",
    ),
    path("v1/errors", errors.ErrorsView.as_view(), name="errors"),
    path("v1/errors/<uuid:error_id>", errors.OneErrorView.as_view(), name="error"),
    path("v1/errors/<uuid:error_id>/resubmit", errors.ResubmitErrorView.as_view(), name="resubmit"),
    path("v1/errors/<uuid:error_id>/discard", errors.DiscardErrorView.as_view(), name="discard"),
    path("v1/domains", domains.DomainsView.as_view(), name="domains"),
    path("v1/domains/<uuid:domain_id>", domains.DomainView.as_view(), name="domain"),
    path("v1/domains/<uuid:domain_id>/check", domains.CheckDomainView.as_view(), name="check-domain"),
    path("v1/domains/<uuid:domain_id>/keys", domains.DomainKeysView.as_view(), name="domain-keys"),
    path(f"{_KEY}/activate", domains.ActivateKeyView.as_view(), name="activate-key"),
    path(f"{_KEY}/stop", domains.StopKeyView.as_view(), name="stop-key"),
    path(f"{_KEY}/discard", domains.DiscardKeyView.as_view(), name="discard-key"),
    path("v1/suppressions", suppressions.SuppressionsView.as_view(), name="suppressions"),
    path(
        "v1/suppressions/<uuid:suppression_id>",
        suppressions.SuppressionView.as_view(),
        name="suppression",
    ),
    path("v1/held", queue.HeldView.as_view(), name="held"),
    path("v1/relays", relays.RelaysView.as_view(), name="relays"),
    path("v1/relays/<uuid:relay_id>", relays.RelayView.as_view(), name="relay"),
    path("v1/relays/<uuid:relay_id>/test", relays.RelayTestView.as_view(), name="test-relay"),
    path("v1/relays/<uuid:relay_id>/pause", relays.PauseRelayView.as_view(), name="pause-relay"),
    path("v1/relays/<uuid:relay_id>/resume", relays.ResumeRelayView.as_view(), name="resume-relay"),
    path("v1/limits", limits.LimitsView.as_view(), name="limits"),
    path("v1/limits/<uuid:limit_id>", limits.LimitView.as_view(), name="limit"),
    re_path(r"^", documentation.nowhere, name="nowhere"),
]
