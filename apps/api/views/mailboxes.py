"""Mailboxes, and the messages in one."""

import uuid

from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.schema import documents, page_of
from apps.api.serializers.mailboxes import MailboxSerializer
from apps.api.serializers.messages import MessageSerializer
from apps.api.serializers.queries import MailboxMessagesQuery, PageQuery
from apps.api.views.base import ApiView
from apps.api.views.messages import filtered_messages, messages_page
from apps.mailboxes.selectors import visible_mailboxes


class MailboxesView(ApiView):
    """Where mail lies."""

    @documents(
        "list_mailboxes",
        "The mailboxes you may see, newest first",
        answers={200: page_of(MailboxSerializer)},
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(PageQuery)
        return self.page(visible_mailboxes(self.principal), query, by="created_at", kind=MailboxSerializer)


class MailboxMessagesView(ApiView):
    """The messages in one mailbox."""

    @documents(
        "list_mailbox_messages",
        "Messages of a mailbox, newest first",
        answers={200: page_of(MessageSerializer)},
        query=MailboxMessagesQuery,
        problems=(404,),
    )
    def get(self, request: Request, mailbox_id: uuid.UUID) -> Response:
        query = self.read_query(MailboxMessagesQuery) | {"mailbox": mailbox_id}
        return messages_page(self, filtered_messages(self.principal, query), query)
