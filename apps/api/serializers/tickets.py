"""Tickets, as they are asked for and as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import AddressList, StrictSerializer, TextField
from apps.api.serializers.automation import AcknowledgementSerializer
from apps.api.serializers.messages import AddressSerializer, MessageSerializer, NewAttachmentSerializer
from apps.tickets.models import MoveKind, TicketPriority, TicketState


class TicketChangeSerializer(StrictSerializer):
    """What to change; what is not named stays."""

    state = serializers.ChoiceField(choices=TicketState.choices, required=False)
    assignee = serializers.UUIDField(
        required=False, allow_null=True, help_text="A person's id; null for nobody."
    )
    priority = serializers.ChoiceField(choices=TicketPriority.choices, required=False)
    tags = serializers.ListField(child=TextField(max_length=100), required=False, max_length=50)


class NewReplySerializer(StrictSerializer):
    """An answer to a ticket, sent from its mailbox. Without `to` it goes to whoever wrote last."""

    text = TextField(required=False, default="", allow_blank=True)
    html = TextField(required=False, default="", allow_blank=True)
    to = AddressList()
    cc = AddressList()
    attachments = NewAttachmentSerializer(many=True, required=False, default=tuple)
    hold_seconds = serializers.IntegerField(required=False, default=0, min_value=0)
    send_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Not before."
    )
    cancel_if_replied = serializers.BooleanField(
        required=False, default=False, help_text="Not at all, once the customer has written again."
    )
    state = serializers.ChoiceField(
        choices=TicketState.choices, required=False, default=None, help_text="The ticket's state afterwards."
    )


class NewNoteSerializer(StrictSerializer):
    text = TextField()


class MergeSerializer(StrictSerializer):
    into = serializers.UUIDField(
        help_text="The ticket that gets everything of this one; of the same mailbox."
    )


class SplitSerializer(StrictSerializer):
    message = serializers.UUIDField(help_text="The message that gets a ticket of its own.")


class MoveSerializer(SplitSerializer):
    """One message into another ticket."""

    message = serializers.UUIDField()
    into = serializers.UUIDField(help_text="A ticket of the same mailbox: its customers write there again.")


class PersonSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    email = serializers.CharField()


class NoteSerializer(serializers.Serializer[Any]):
    """A remark that only the team sees."""

    id = serializers.UUIDField()
    author = PersonSerializer(allow_null=True)
    author_name = serializers.CharField()
    text = serializers.CharField()
    created_at = serializers.DateTimeField()


class TicketMoveSerializer(serializers.Serializer[Any]):
    """What a person moved from one ticket to another. `…/moves/{id}/undo` takes it back."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=MoveKind.choices)
    from_ticket = serializers.UUIDField(source="source_id", help_text="It had it.")
    to_ticket = serializers.UUIDField(source="target_id", help_text="It has it.")
    messages = serializers.ListField(source="message_ids", child=serializers.UUIDField())
    by = serializers.CharField(source="mover_name")
    moved_at = serializers.DateTimeField()
    undone_at = serializers.DateTimeField(allow_null=True)


class TicketSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(source="ticket.pk")
    number = serializers.IntegerField(source="ticket.number")
    subject = serializers.CharField(source="ticket.subject")
    state = serializers.ChoiceField(source="ticket.state", choices=TicketState.choices)
    priority = serializers.ChoiceField(source="ticket.priority", choices=TicketPriority.choices)
    priority_because = serializers.CharField(
        source="ticket.priority_because",
        help_text="The rule that chose the priority, as a code; clients accept unknown ones.",
    )
    priority_reason = serializers.CharField(
        source="ticket.priority_reason", help_text="The same in one sentence."
    )
    assignee = PersonSerializer(source="ticket.assignee", allow_null=True)
    requester = AddressSerializer()
    mailbox = serializers.UUIDField(source="ticket.mailbox_id")
    thread = serializers.UUIDField(source="ticket.thread_id")
    merged_into = serializers.UUIDField(
        source="ticket.merged_into_id", allow_null=True, help_text="The ticket that has all of it now."
    )
    tags = serializers.ListField(source="ticket.tags", child=serializers.CharField())
    opened_at = serializers.DateTimeField(source="ticket.opened_at")
    last_activity_at = serializers.DateTimeField(source="ticket.last_activity_at")
    solved_at = serializers.DateTimeField(source="ticket.solved_at", allow_null=True)


class WholeTicketSerializer(TicketSerializer):
    """A ticket with its conversation, oldest first."""

    acknowledgement = AcknowledgementSerializer(
        allow_null=True, help_text="Null where the mailbox acknowledges nothing."
    )
    messages = MessageSerializer(many=True)
    notes = NoteSerializer(many=True)
    moves = TicketMoveSerializer(many=True, help_text="In and out, oldest first.")
