"""Addresses that are not written to: listed, entered, removed."""

import uuid
from collections.abc import Sequence

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.answers import Answer
from apps.api.schema import documents, page_of
from apps.api.serializers.suppressions import (
    NewSuppressionSerializer,
    SuppressionSerializer,
    SuppressionsQuery,
)
from apps.api.views.base import ApiView
from apps.outbound.bounces.suppressions import (
    add_suppression,
    remove_suppression,
    suppression_for,
    suppressions_for,
)
from apps.outbound.models import Suppression, SuppressionReason


class SuppressionsView(ApiView):
    """Everybody of the organisation may see the list; admins change it."""

    @documents(
        "list_suppressions",
        "Addresses that are not written to, newest first",
        answers={200: page_of(SuppressionSerializer)},
        query=SuppressionsQuery,
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(SuppressionsQuery)
        rows = suppressions_for(self.principal, query=query.get("q", ""), reason=query.get("reason", ""))
        return self.page(
            rows.select_related("delivery"),
            query,
            by="created_at",
            kind=SuppressionSerializer,
            describe=suppression_answers,
        )

    @documents(
        "add_suppression",
        "Write to an address no more",
        answers={201: SuppressionSerializer},
        request=NewSuppressionSerializer,
        problems=(400, 403),
    )
    def post(self, request: Request) -> Response:
        body = self.read_body(NewSuppressionSerializer)
        row = add_suppression(
            self.principal,
            body["address"],
            reason=SuppressionReason(body["reason"]),
            evidence=body["evidence"],
            expires_at=body["expires_at"],
            now=timezone.now(),
        )
        return _answered(row, status=201)


class SuppressionView(ApiView):
    """One address."""

    @documents(
        "get_suppression",
        "Why an address is not written to",
        answers={200: SuppressionSerializer},
        problems=(404,),
    )
    def get(self, request: Request, suppression_id: uuid.UUID) -> Response:
        return _answered(suppression_for(self.principal, suppression_id))

    @documents(
        "remove_suppression",
        "Write to an address again; what was suppressed can be resubmitted from the error queue",
        answers={200: SuppressionSerializer},
        problems=(403, 404),
    )
    def delete(self, request: Request, suppression_id: uuid.UUID) -> Response:
        now = timezone.now()
        row = suppression_for(self.principal, suppression_id)
        remove_suppression(self.principal, row, now=now)
        row.refresh_from_db()
        return _answered(row)


def _answered(row: Suppression, *, status: int = 200) -> Response:
    return Response(SuppressionSerializer(suppression_answers([row])[0]).data, status=status)


def suppression_answers(rows: Sequence[Suppression]) -> list[Answer]:
    """A page of suppressions, each with whether it holds."""
    now = timezone.now()
    return [{"row": row, "in_force": row.holds(now)} for row in rows]
