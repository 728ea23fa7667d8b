"""Mailboxes, the messages in one, and what it answers by itself."""

import uuid

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.schema import documents, page_of
from apps.api.serializers.automation import (
    AcknowledgementRuleChangeSerializer,
    AcknowledgementRuleSerializer,
)
from apps.api.serializers.mailboxes import (
    AliasSerializer,
    MailboxChangeSerializer,
    MailboxSerializer,
    NewAliasSerializer,
)
from apps.api.serializers.messages import MessageSerializer
from apps.api.serializers.queries import MailboxMessagesQuery, PageQuery
from apps.api.views.base import ApiView
from apps.api.views.messages import filtered_messages, messages_page
from apps.automation.selectors import acknowledgement_rule_for
from apps.automation.services import change_acknowledgement_rule
from apps.mailboxes.aliases import add_alias, alias_for, remove_alias
from apps.mailboxes.selectors import mailbox_for, visible_mailboxes
from apps.mailboxes.services import change_mailbox


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
        rows = visible_mailboxes(self.principal).prefetch_related("addresses")
        return self.page(rows, query, by="created_at", kind=MailboxSerializer)


class MailboxView(ApiView):
    """One mailbox, and how it writes."""

    @documents("get_mailbox", "A mailbox", answers={200: MailboxSerializer}, problems=(404,))
    def get(self, request: Request, mailbox_id: uuid.UUID) -> Response:
        return Response(MailboxSerializer(mailbox_for(self.principal, mailbox_id)).data)

    @documents(
        "change_mailbox",
        "Change how a mailbox writes; for admins",
        answers={200: MailboxSerializer},
        request=MailboxChangeSerializer,
        problems=(400, 403, 404),
    )
    def patch(self, request: Request, mailbox_id: uuid.UUID) -> Response:
        mailbox = mailbox_for(self.principal, mailbox_id)
        changed = change_mailbox(self.principal, mailbox, **self.read_body(MailboxChangeSerializer))
        return Response(MailboxSerializer(changed).data)


class AliasesView(ApiView):
    """A mailbox's further addresses; the mailbox itself lists them."""

    @documents(
        "add_alias",
        "Give a mailbox one address more; for admins",
        answers={201: AliasSerializer},
        request=NewAliasSerializer,
        problems=(400, 403, 404),
    )
    def post(self, request: Request, mailbox_id: uuid.UUID) -> Response:
        mailbox = mailbox_for(self.principal, mailbox_id)
        alias = add_alias(self.principal, mailbox, self.read_body(NewAliasSerializer)["address"])
        return Response(AliasSerializer(alias).data, status=201)


class AliasView(ApiView):
    """One of them."""

    @documents("get_alias", "An alias", answers={200: AliasSerializer}, problems=(404,))
    def get(self, request: Request, mailbox_id: uuid.UUID, alias_id: uuid.UUID) -> Response:
        return Response(AliasSerializer(alias_for(self.principal, mailbox_id, alias_id)).data)

    @documents(
        "remove_alias",
        "Take an address away; mail to it is refused from then on",
        answers={204: None},
        problems=(403, 404),
    )
    def delete(self, request: Request, mailbox_id: uuid.UUID, alias_id: uuid.UUID) -> Response:
        remove_alias(self.principal, alias_for(self.principal, mailbox_id, alias_id))
        return Response(status=204)


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


class AcknowledgementRuleView(ApiView):
    """Acknowledgements of new tickets: off until an admin switches them on. A ticket tells what became of its own."""

    @documents(
        "get_acknowledgement_rule",
        "Whether a mailbox acknowledges new tickets",
        answers={200: AcknowledgementRuleSerializer},
        problems=(404,),
    )
    def get(self, request: Request, mailbox_id: uuid.UUID) -> Response:
        rule = acknowledgement_rule_for(self.principal, mailbox_id)
        return Response(AcknowledgementRuleSerializer(rule).data)

    @documents(
        "change_acknowledgement_rule",
        "Switch acknowledgements on or off, or change their words; for admins",
        answers={200: AcknowledgementRuleSerializer},
        request=AcknowledgementRuleChangeSerializer,
        problems=(400, 404),
    )
    def patch(self, request: Request, mailbox_id: uuid.UUID) -> Response:
        mailbox = mailbox_for(self.principal, mailbox_id)
        changes = self.read_body(AcknowledgementRuleChangeSerializer)
        rule = change_acknowledgement_rule(self.principal, mailbox, **changes, now=timezone.now())
        return Response(AcknowledgementRuleSerializer(rule).data)
