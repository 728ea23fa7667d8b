"""Putting mail into the right ticket: merge, split, move, and taking that back. Each answers with the move."""

import uuid

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.schema import documents
from apps.api.serializers.tickets import (
    MergeSerializer,
    MoveSerializer,
    SplitSerializer,
    TicketMoveSerializer,
)
from apps.api.views.base import ApiView
from apps.mailboxes.errors import NotVisible
from apps.tickets.errors import TicketInvalid
from apps.tickets.models import Ticket, TicketMove
from apps.tickets.moving import merge_tickets, move_message, split_message, undo_move
from apps.tickets.selectors import move_for, ticket_for


class _MovesView(ApiView):
    def _into(self, ticket_id: uuid.UUID) -> Ticket:
        """The ticket a body names. What the caller may not see is wrong there, and not missing here."""
        try:
            return ticket_for(self.principal, ticket_id)
        except NotVisible as error:
            raise TicketInvalid("into", "There is no such ticket.") from error

    def _answer(self, move: TicketMove) -> Response:
        return Response(TicketMoveSerializer(move).data)


class MergeView(_MovesView):
    """Everything of the ticket goes into another: messages and notes. It is solved then, and points there."""

    @documents(
        "merge_ticket",
        "Merge a ticket into another",
        answers={200: TicketMoveSerializer},
        request=MergeSerializer,
        problems=(400, 404, 409),
    )
    def post(self, request: Request, ticket_id: uuid.UUID) -> Response:
        ticket = ticket_for(self.principal, ticket_id)
        into = self._into(self.read_body(MergeSerializer)["into"])
        return self._answer(merge_tickets(self.principal, ticket, into, now=timezone.now()))


class SplitView(_MovesView):
    """One message gets a ticket of its own, which is `to_ticket`. Later answers to it go there."""

    @documents(
        "split_ticket",
        "Give a message a ticket of its own",
        answers={200: TicketMoveSerializer},
        request=SplitSerializer,
        problems=(400, 404, 409),
    )
    def post(self, request: Request, ticket_id: uuid.UUID) -> Response:
        ticket = ticket_for(self.principal, ticket_id)
        message_id = self.read_body(SplitSerializer)["message"]
        return self._answer(split_message(self.principal, ticket, message_id, now=timezone.now()))


class MoveView(_MovesView):
    """One message goes into another ticket. A ticket's last one takes the ticket along: then it is a merge."""

    @documents(
        "move_message",
        "Move a message to another ticket",
        answers={200: TicketMoveSerializer},
        request=MoveSerializer,
        problems=(400, 404, 409),
    )
    def post(self, request: Request, ticket_id: uuid.UUID) -> Response:
        ticket = ticket_for(self.principal, ticket_id)
        body = self.read_body(MoveSerializer)
        into = self._into(body["into"])
        return self._answer(move_message(self.principal, ticket, body["message"], into, now=timezone.now()))


class UndoMoveView(_MovesView):
    """What was moved goes back, and so do the states of both tickets unless somebody has changed them since."""

    @documents("undo_move", "Take a move back", answers={200: TicketMoveSerializer}, problems=(404, 409))
    def post(self, request: Request, ticket_id: uuid.UUID, move_id: uuid.UUID) -> Response:
        ticket = ticket_for(self.principal, ticket_id)
        move = move_for(self.principal, move_id)
        if ticket.pk not in {move.source_id, move.target_id}:
            raise NotVisible(str(move_id))
        return self._answer(undo_move(self.principal, move, now=timezone.now()))
