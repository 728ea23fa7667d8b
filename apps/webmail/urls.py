"""The pages' URLs. Bodies and attachments have an origin of their own: content_urls.py."""

from django.urls import path, register_converter

from apps.webmail.converters import FolderConverter
from apps.webmail.views import conversations, outgoing, relays, sign_in, tickets, writing

register_converter(FolderConverter, "folder")

_MAILBOX = "m/<uuid:mailbox_id>"
_THREAD = f"{_MAILBOX}/t/<uuid:thread_id>"

app_name = "webmail"
urlpatterns = [
    path("", conversations.home, name="home"),
    path("sign-in/", sign_in.sign_in, name="sign-in"),
    path("sign-out/", sign_in.sign_out, name="sign-out"),
    path("rail/", conversations.rail, name="rail"),
    path(f"{_MAILBOX}/<folder:folder>/", conversations.folder, name="folder"),
    path(f"{_MAILBOX}/<folder:folder>/rows/", conversations.rows, name="rows"),
    path(f"{_MAILBOX}/<folder:folder>/<uuid:thread_id>/", conversations.conversation, name="conversation"),
    path(f"{_MAILBOX}/<folder:folder>/<uuid:thread_id>/star/", conversations.star, name="star"),
    path(f"{_THREAD}/read/", conversations.read, name="read"),
    path(f"{_THREAD}/move/", conversations.move, name="move"),
    path(f"{_MAILBOX}/messages/<uuid:message_id>/body/", conversations.message_body, name="message-body"),
    path(f"{_MAILBOX}/messages/<uuid:message_id>/answer/", writing.answer, name="answer"),
    path("tickets/<uuid:ticket_id>/<folder:folder>/", tickets.change, name="change-ticket"),
    path("tickets/<uuid:ticket_id>/notes/", tickets.note, name="note"),
    path("tickets/<uuid:ticket_id>/answer/", writing.answer_ticket, name="answer-ticket"),
    path("compose/", writing.compose, name="compose"),
    path("messages/<uuid:message_id>/cancel/", writing.cancel, name="cancel"),
    path("messages/<uuid:message_id>/retry/", writing.retry, name="retry"),
    path("outbox/", outgoing.outbox, name="outbox"),
    path("outbox/<uuid:delivery_id>/resolve/", outgoing.resolve, name="resolve"),
    path("errors/", outgoing.errors, name="errors"),
    path("errors/<uuid:delivery_id>/resubmit/", outgoing.resubmit, name="resubmit"),
    path("errors/<uuid:delivery_id>/discard/", outgoing.discard, name="discard"),
    path("queue/", outgoing.queue, name="queue"),
    path("relays/", relays.relays, name="relays"),
    path("relays/new/", relays.add, name="add-relay"),
    path("relays/<uuid:relay_id>/", relays.relay, name="relay"),
    path("relays/<uuid:relay_id>/test/", relays.test, name="test-relay"),
    path("relays/<uuid:relay_id>/pause/", relays.pause, name="pause-relay"),
    path("relays/<uuid:relay_id>/resume/", relays.resume, name="resume-relay"),
    path("relays/<uuid:relay_id>/remove/", relays.remove, name="remove-relay"),
]
