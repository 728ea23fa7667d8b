"""Labels: the organisation's own, and which are on a ticket's conversation."""

import uuid
from collections.abc import Sequence

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.schema import documents
from apps.api.serializers.labels import (
    LabelChangeSerializer,
    LabelSerializer,
    LabelsSerializer,
    NewLabelSerializer,
    PutLabelSerializer,
)
from apps.api.views.base import ApiView
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.labels import (
    change_label,
    create_label,
    delete_label,
    label_for,
    labels_by_thread,
    labels_for,
)
from apps.mailboxes.models import Label
from apps.tickets.bulk import Wish, do_to_many
from apps.tickets.models import Deed, Ticket
from apps.tickets.selectors import ticket_for


class LabelsView(ApiView):
    """Everybody may make one; changing and deleting them takes the admin role."""

    @documents("list_labels", "The organisation's labels, by name", answers={200: LabelsSerializer})
    def get(self, request: Request) -> Response:
        return _all(labels_for(self.principal))

    @documents(
        "create_label",
        "Make a label; one of this name that is there is answered as it is",
        answers={201: LabelSerializer},
        request=NewLabelSerializer,
        problems=(400,),
    )
    def post(self, request: Request) -> Response:
        body = self.read_body(NewLabelSerializer)
        label = create_label(self.principal, body["name"], body["colour"])
        return Response(LabelSerializer(label).data, status=201)


class LabelView(ApiView):
    """One label."""

    @documents("get_label", "A label", answers={200: LabelSerializer}, problems=(404,))
    def get(self, request: Request, label_id: uuid.UUID) -> Response:
        return Response(LabelSerializer(label_for(self.principal, label_id)).data)

    @documents(
        "change_label",
        "Give a label another name or colour; for admins",
        answers={200: LabelSerializer},
        request=LabelChangeSerializer,
        problems=(400, 403, 404),
    )
    def patch(self, request: Request, label_id: uuid.UUID) -> Response:
        label = label_for(self.principal, label_id)
        changed = change_label(self.principal, label, **self.read_body(LabelChangeSerializer))
        return Response(LabelSerializer(changed).data)

    @documents(
        "delete_label",
        "Take a label from every conversation, for good; for admins",
        answers={204: None},
        problems=(403, 404),
    )
    def delete(self, request: Request, label_id: uuid.UUID) -> Response:
        delete_label(self.principal, label_for(self.principal, label_id))
        return Response(status=204)


class TicketLabelsView(ApiView):
    """The labels on a ticket's conversation."""

    @documents(
        "list_ticket_labels", "A ticket's labels, by name", answers={200: LabelsSerializer}, problems=(404,)
    )
    def get(self, request: Request, ticket_id: uuid.UUID) -> Response:
        return _all(_labels_on(ticket_for(self.principal, ticket_id)))

    @documents(
        "put_label",
        "Put a label on a ticket",
        answers={200: LabelsSerializer},
        request=PutLabelSerializer,
        problems=(400, 404),
    )
    def post(self, request: Request, ticket_id: uuid.UUID) -> Response:
        ticket = ticket_for(self.principal, ticket_id)
        body = self.read_body(PutLabelSerializer)
        label = (
            label_for(self.principal, body["id"])
            if "id" in body
            else create_label(self.principal, body["name"])
        )
        _do(self, ticket, label, Deed.LABEL)
        return _all(_labels_on(ticket))


class TicketLabelView(ApiView):
    """One label on a ticket."""

    @documents(
        "get_ticket_label", "A label that is on the ticket", answers={200: LabelSerializer}, problems=(404,)
    )
    def get(self, request: Request, ticket_id: uuid.UUID, label_id: uuid.UUID) -> Response:
        ticket = ticket_for(self.principal, ticket_id)
        label = next((one for one in _labels_on(ticket) if one.pk == label_id), None)
        if label is None:
            raise NotVisible(str(label_id))
        return Response(LabelSerializer(label).data)

    @documents("take_label", "Take a label off a ticket", answers={204: None}, problems=(404,))
    def delete(self, request: Request, ticket_id: uuid.UUID, label_id: uuid.UUID) -> Response:
        ticket = ticket_for(self.principal, ticket_id)
        _do(self, ticket, label_for(self.principal, label_id), Deed.UNLABEL)
        return Response(status=204)


def _do(view: ApiView, ticket: Ticket, label: Label, deed: Deed) -> None:
    wish = Wish(deed, label_id=str(label.pk))
    do_to_many(view.principal, ticket.mailbox, [ticket.thread_id], wish, now=timezone.now())


def _labels_on(ticket: Ticket) -> list[Label]:
    return labels_by_thread(ticket.mailbox, [ticket.thread_id]).get(ticket.thread_id, [])


def _all(labels: Sequence[Label]) -> Response:
    return Response(LabelsSerializer({"results": labels, "next": None, "previous": None}).data)
