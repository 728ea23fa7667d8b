"""The pages' URLs. Bodies and attachments have an origin of their own: content_urls.py."""

from django.urls import path, register_converter

from apps.webmail.converters import FolderConverter
from apps.webmail.views import (
    acknowledgements,
    app_passwords,
    conversations,
    domains,
    errors,
    outgoing,
    relays,
    sign_in,
    suppressions,
    tickets,
    well_known,
    writing,
)

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
    path("messages/<uuid:message_id>/reschedule/", writing.reschedule, name="reschedule"),
    path("messages/<uuid:message_id>/story/", outgoing.story, name="story"),
    path("outbox/", outgoing.outbox, name="outbox"),
    path("outbox/hurry/", outgoing.hurry, name="hurry"),
    path("outbox/stop/", outgoing.stop, name="stop"),
    path("outbox/<uuid:delivery_id>/retry/", outgoing.retry_recipient, name="retry-recipient"),
    path("outbox/<uuid:delivery_id>/cancel/", outgoing.cancel_recipient, name="cancel-recipient"),
    path("outbox/<uuid:delivery_id>/resolve/", outgoing.resolve, name="resolve"),
    path("errors/", errors.errors, name="errors"),
    path("errors/<uuid:delivery_id>/resubmit/", errors.resubmit, name="resubmit"),
    path("errors/<uuid:delivery_id>/readdress/", errors.readdress, name="readdress"),
    path("errors/<uuid:delivery_id>/rewrite/", errors.rewrite, name="rewrite"),
    path("errors/<uuid:delivery_id>/unsuppress/", errors.unsuppress, name="send-unsuppressed"),
    path("errors/<uuid:delivery_id>/discard/", errors.discard, name="discard"),
    path("errors/<uuid:delivery_id>/restore/", errors.restore, name="restore"),
    path("errors/refused/<uuid:refused_id>/discard/", errors.discard_kept, name="discard-refused"),
    path("errors/refused/<uuid:refused_id>/restore/", errors.restore_kept, name="restore-refused"),
    path("acknowledgements/", acknowledgements.acknowledgements, name="acknowledgements"),
    path(f"{_MAILBOX}/acknowledgement/", acknowledgements.change, name="change-acknowledgement"),
    path("app-passwords/", app_passwords.app_passwords, name="app-passwords"),
    path("app-passwords/<uuid:app_password_id>/revoke/", app_passwords.revoke, name="revoke-app-password"),
    path("suppressions/", suppressions.suppressions, name="suppressions"),
    path("suppressions/<uuid:suppression_id>/remove/", suppressions.remove, name="unsuppress"),
    path("queue/", outgoing.queue, name="queue"),
    path(".well-known/mta-sts.txt", well_known.mta_sts, name="mta-sts"),
    path("domains/", domains.domains, name="domains"),
    path("domains/add/", domains.add, name="add-domain"),
    path("domains/<uuid:domain_id>/", domains.domain, name="domain"),
    path("domains/<uuid:domain_id>/check/", domains.check, name="check-domain"),
    path("domains/<uuid:domain_id>/remove/", domains.remove, name="remove-domain"),
    path("domains/<uuid:domain_id>/keys/", domains.rotate, name="rotate-keys"),
    path("signing-keys/<uuid:key_id>/", domains.change_key, name="change-key"),
    path("relays/", relays.relays, name="relays"),
    path("relays/new/", relays.add, name="add-relay"),
    path("relays/<uuid:relay_id>/", relays.relay, name="relay"),
    path("relays/<uuid:relay_id>/test/", relays.test, name="test-relay"),
    path("relays/<uuid:relay_id>/pause/", relays.pause, name="pause-relay"),
    path("relays/<uuid:relay_id>/resume/", relays.resume, name="resume-relay"),
    path("relays/<uuid:relay_id>/remove/", relays.remove, name="remove-relay"),
]
