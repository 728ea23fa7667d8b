"""Query parameters of lists. A parameter nobody knows is an error: a misspelt filter would answer everything."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.api.fields import StrictSerializer, TextField
from apps.api.pagination import MAX_PAGE_SIZE, PAGE_SIZE, Cursor
from apps.mailboxes.models import Folder
from apps.outbound.models import DeliveryState
from apps.tickets.intake import FILED
from apps.tickets.models import TicketPriority, TicketState

NOBODY = "none"
MESSAGE_STATES = [FILED, *DeliveryState.values]


class CursorField(TextField):
    """`cursor` out of an answer's `next` or `previous`."""

    def to_internal_value(self, data: Any) -> Any:
        return Cursor.decode(super().to_internal_value(data))


class PageQuery(StrictSerializer):
    cursor = CursorField(required=False, default=None, help_text="From `next` or `previous` of another page.")
    limit = serializers.IntegerField(
        required=False, default=PAGE_SIZE, min_value=1, max_value=MAX_PAGE_SIZE, help_text="Rows of a page."
    )


class MailboxMessagesQuery(PageQuery):
    folder = serializers.ChoiceField(choices=Folder.choices, required=False)
    q = TextField(
        required=False,
        max_length=1000,
        help_text="All of these words occur (the last may be unfinished), and operators such as `from:` hold.",
    )
    state = serializers.ChoiceField(choices=MESSAGE_STATES, required=False)


class MessagesQuery(MailboxMessagesQuery):
    mailbox = serializers.UUIDField(required=False)


@extend_schema_field(OpenApiTypes.STR)
class AssigneeField(serializers.Field[Any, str, str, Any]):
    """Somebody's id, or `none` for tickets nobody has."""

    def to_internal_value(self, data: Any) -> Any:
        return NOBODY if data == NOBODY else serializers.UUIDField().to_internal_value(data)

    def to_representation(self, value: Any) -> str:
        return str(value)


class TicketsQuery(PageQuery):
    state = serializers.ChoiceField(choices=TicketState.choices, required=False)
    priority = serializers.ChoiceField(choices=TicketPriority.choices, required=False)
    assignee = AssigneeField(required=False, help_text="A person's id, or `none`.")
    mailbox = serializers.UUIDField(required=False)
    tag = TextField(required=False, max_length=100)
    requester = TextField(required=False, max_length=1000, help_text="The address of whoever asked.")
    q = TextField(
        required=False,
        max_length=1000,
        help_text="A ticket's number, or words and operators that one of its messages matches.",
    )
