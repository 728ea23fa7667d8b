"""The REST API's addresses. What leads nowhere under /api/ is answered as a problem too, not as a web page."""

from django.urls import path, re_path
from django.views.generic import RedirectView

from apps.api.views import documentation, limits, mailboxes, messages, queue, relays, tickets

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
    path("v1/mailboxes", mailboxes.MailboxesView.as_view(), name="mailboxes"),
    path(
        "v1/mailboxes/<uuid:mailbox_id>/messages",
        mailboxes.MailboxMessagesView.as_view(),
        name="mailbox-messages",
    ),
    path("v1/tickets", tickets.TicketsView.as_view(), name="tickets"),
    path("v1/tickets/<uuid:ticket_id>", tickets.TicketView.as_view(), name="ticket"),
    path("v1/tickets/<uuid:ticket_id>/replies", tickets.RepliesView.as_view(), name="replies"),
    path("v1/tickets/<uuid:ticket_id>/notes", tickets.NotesView.as_view(), name="notes"),
    path("v1/queue", queue.QueueView.as_view(), name="queue"),
    path("v1/errors", queue.ErrorsView.as_view(), name="errors"),
    path("v1/errors/<uuid:delivery_id>/resubmit", queue.ResubmitErrorView.as_view(), name="resubmit"),
    path("v1/errors/<uuid:delivery_id>/discard", queue.DiscardErrorView.as_view(), name="discard"),
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
