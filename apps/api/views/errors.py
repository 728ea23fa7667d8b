"""The error queue: failed recipients and refused submissions, looked at, mended, sent again, discarded."""

import uuid
from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.answers import Answer, delivery_answer, submitted_answer
from apps.api.problems import FieldError, InvalidRequest
from apps.api.refusals import check_or_keep
from apps.api.schema import IDEMPOTENCY_KEY, documents, page_of
from apps.api.serializers.messages import AcceptedSerializer, DeliverySerializer, NewMessageSerializer
from apps.api.serializers.queries import PageQuery
from apps.api.serializers.queue import ErrorKind, ErrorSerializer, MendSerializer, WholeErrorSerializer
from apps.api.serializers.tickets import NewReplySerializer
from apps.api.views.base import ApiView
from apps.api.views.messages import submission_of
from apps.api.views.tickets import reply_of
from apps.mailboxes.errors import NotVisible
from apps.outbound.bounces.selectors import reports_by_delivery
from apps.outbound.errors import NotRetryable
from apps.outbound.models import Delivery, DeliveryState, RefusedSubmission
from apps.outbound.selectors import delivery_for, errors_for, refused_by_id, refused_for
from apps.outbound.services import discard_delivery, readdress_delivery, resubmit_delivery
from apps.outbound.submission.refused import (
    asked_again,
    asked_without_files,
    corrected,
    discard_refused,
    kept_files,
)
from apps.outbound.submission.replies import reply_to_ticket
from apps.outbound.submission.submit import Submitted, submit_message
from apps.tickets.selectors import ticket_for

Stuck = Delivery | RefusedSubmission


class ErrorView(ApiView):
    """What the views of one error have in common."""

    def stuck(self, error_id: uuid.UUID) -> Stuck:
        """The recipient or the submission of that id. Raises NotVisible."""
        try:
            return delivery_for(self.principal, error_id)
        except NotVisible:
            return refused_by_id(self.principal, error_id)


class ErrorsView(ApiView):
    """Nothing here is tried again unless somebody says so."""

    @documents(
        "list_errors",
        "The error queue, newest first",
        answers={200: page_of(ErrorSerializer)},
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(PageQuery)
        both = [errors_for(self.principal), refused_for(self.principal)]
        return self.page(both, query, by="created_at", kind=ErrorSerializer, describe=_described)


class OneErrorView(ErrorView):
    """With all that was asked, of a submission."""

    @documents("get_error", "One of the error queue", answers={200: WholeErrorSerializer}, problems=(404,))
    def get(self, request: Request, error_id: uuid.UUID) -> Response:
        stuck = self.stuck(error_id)
        answer: Answer = error_answer(stuck) | {"submission": None, "files": []}
        if isinstance(stuck, RefusedSubmission):
            answer |= {"submission": asked_without_files(stuck), "files": kept_files(stuck)}
        return Response(WholeErrorSerializer(answer).data)


class ResubmitErrorView(ErrorView):
    """A recipient is due again at once, or the mail goes to another address instead: 200. A submission is checked like
    a new one, with what the body corrects: 202."""

    @documents(
        "resubmit_error",
        "Send it again, mended",
        answers={200: DeliverySerializer, 202: AcceptedSerializer},
        request=MendSerializer,
        problems=(400, 404, 409),
        parameters=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request, error_id: uuid.UUID) -> Response:
        stuck = self.stuck(error_id)
        corrections = request.data
        if not isinstance(corrections, dict):
            raise InvalidRequest(FieldError("body", "invalid", "An object of corrected fields, or nothing."))
        if isinstance(stuck, RefusedSubmission):
            submitted = self._submit_again(stuck, corrections)
            answer = submitted_answer(submitted, timezone.now())
            return Response(AcceptedSerializer(answer).data, status=202)
        return Response(DeliverySerializer(self._deliver_again(stuck, corrections)).data)

    def _deliver_again(self, delivery: Delivery, corrections: dict[str, Any]) -> Answer:
        now = timezone.now()
        unknown = sorted(corrections.keys() - {"recipient"})
        if unknown:
            detail = "Of a delivery only `recipient` can be corrected."
            raise InvalidRequest(*(FieldError(name, "unknown", detail) for name in unknown))
        address = corrections.get("recipient")
        if address is None:
            resubmit_delivery(self.principal, delivery, now)
            delivery.refresh_from_db()
        elif isinstance(address, str):
            delivery = readdress_delivery(self.principal, delivery, address, now)
        else:
            raise InvalidRequest(FieldError("recipient", "invalid", "Not a valid string."))
        reports = reports_by_delivery(self.principal, [delivery]).get(delivery.pk, ())
        return delivery_answer(delivery, now, reports)

    def _submit_again(self, refused: RefusedSubmission, corrections: dict[str, Any]) -> Submitted:
        if not refused.is_open:
            msg = "It is not in the error queue any more."
            raise NotRetryable(msg)
        now = timezone.now()
        key = self.request.headers.get("Idempotency-Key")
        body = corrected(asked_again(refused), corrections)
        if refused.ticket_id is None:
            checked = check_or_keep(self.principal, body, NewMessageSerializer, key=key, mends=refused)
            submission = submission_of(checked)
            return submit_message(self.principal, submission, idempotency_key=key, now=now, mends=refused)
        ticket = ticket_for(self.principal, refused.ticket_id)
        checked = check_or_keep(
            self.principal, body, NewReplySerializer, key=key, mends=refused, ticket=ticket
        )
        return reply_to_ticket(
            self.principal, ticket, reply_of(checked), idempotency_key=key, now=now, mends=refused
        )


class DiscardErrorView(ErrorView):
    """Nothing is sent; a recipient keeps its state."""

    @documents(
        "discard_error",
        "Take it out of the error queue",
        answers={200: ErrorSerializer},
        problems=(404, 409),
    )
    def post(self, request: Request, error_id: uuid.UUID) -> Response:
        stuck = self.stuck(error_id)
        if isinstance(stuck, RefusedSubmission):
            discard_refused(self.principal, stuck, timezone.now())
        else:
            discard_delivery(self.principal, stuck, timezone.now())
        stuck.refresh_from_db()
        return Response(ErrorSerializer(error_answer(stuck)).data)


def _described(rows: Sequence[Stuck]) -> list[Answer]:
    return [error_answer(row) for row in rows]


def error_answer(stuck: Stuck) -> Answer:
    """Either kind, in one shape."""
    if isinstance(stuck, RefusedSubmission):
        return {
            "id": stuck.pk,
            "kind": ErrorKind.SUBMISSION,
            "message": stuck.message_id,
            "ticket": stuck.ticket_id,
            "subject": stuck.subject,
            "recipient": stuck.recipient,
            "recipients": stuck.recipients,
            "state": DeliveryState.REJECTED,
            "route": None,
            "cause": stuck.cause,
            "reason": stuck.reason,
            "faults": stuck.faults,
            "attempts_made": stuck.times,
            "created_at": stuck.created_at,
            "finished_at": stuck.refused_at,
        }
    return {
        "id": stuck.pk,
        "kind": ErrorKind.DELIVERY,
        "message": stuck.message_id,
        "ticket": None,
        "subject": stuck.message.subject,
        "recipient": stuck.recipient,
        "recipients": 1,
        "state": stuck.state,
        "route": stuck.route,
        "cause": stuck.cause,
        "reason": stuck.reason,
        "faults": [],
        "attempts_made": stuck.attempts_made,
        "created_at": stuck.created_at,
        "finished_at": stuck.finished_at,
    }
