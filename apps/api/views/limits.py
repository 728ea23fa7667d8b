"""Limits: listed, made, changed, removed. Agents' keys read them; admins change their organisation's."""

import uuid
from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.answers import Answer
from apps.api.schema import documents, page_of
from apps.api.serializers.limits import LimitChangeSerializer, LimitSerializer, NewLimitSerializer
from apps.api.serializers.queries import PageQuery
from apps.api.views.base import ApiView
from apps.outbound.limits.selectors import limit_for, limits_for, use_of_limits
from apps.outbound.limits.services import BOUNDS, change_limit, make_limit, remove_limit
from apps.outbound.models import LimitScope, SendingLimit


class LimitsView(ApiView):
    """The organisation's own limits and those that hold for everybody."""

    @documents(
        "list_limits",
        "Limits of sending, newest first",
        answers={200: page_of(LimitSerializer)},
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(PageQuery)
        return self.page(
            limits_for(self.principal), query, by="created_at", kind=LimitSerializer, describe=limit_answers
        )

    @documents(
        "make_limit",
        "Limit what is sent",
        answers={201: LimitSerializer},
        request=NewLimitSerializer,
        problems=(400, 403),
    )
    def post(self, request: Request) -> Response:
        body = self.read_body(NewLimitSerializer)
        row = make_limit(
            self.principal,
            scope=LimitScope(body["scope"]),
            subject=body["subject"],
            bounds=_bounds(body),
            now=timezone.now(),
        )
        return _answered(row, status=201)


class LimitView(ApiView):
    """One limit."""

    @documents(
        "get_limit", "A limit, and how much of it is used", answers={200: LimitSerializer}, problems=(404,)
    )
    def get(self, request: Request, limit_id: uuid.UUID) -> Response:
        return _answered(limit_for(self.principal, limit_id))

    @documents(
        "change_limit",
        "Change a limit's bounds",
        answers={200: LimitSerializer},
        request=LimitChangeSerializer,
        problems=(400, 403, 404, 409),
    )
    def patch(self, request: Request, limit_id: uuid.UUID) -> Response:
        row = limit_for(self.principal, limit_id)
        body = self.read_body(LimitChangeSerializer)
        return _answered(change_limit(self.principal, row, _bounds(body), timezone.now()))

    @documents("remove_limit", "Remove a limit", answers={204: None}, problems=(403, 404, 409))
    def delete(self, request: Request, limit_id: uuid.UUID) -> Response:
        remove_limit(self.principal, limit_for(self.principal, limit_id))
        return Response(status=204)


def _bounds(body: dict[str, Any]) -> dict[str, int | None]:
    return {name: body[name] for name in BOUNDS if name in body}


def _answered(row: SendingLimit, *, status: int = 200) -> Response:
    return Response(LimitSerializer(limit_answers([row])[0]).data, status=status)


def limit_answers(rows: Sequence[SendingLimit]) -> list[Answer]:
    """A page of limits with what is used of them, in one round trip."""
    own = [row for row in rows if row.organisation_id is not None]
    use = use_of_limits(own)
    return [
        {
            **{
                name: getattr(row, name)
                for name in ("id", "scope", "subject", "created_at", "updated_at", *BOUNDS)
            },
            "for_everybody": row.organisation_id is None,
            # How much everybody together sends is not one organisation's to know.
            "used": use[row.pk] if row.pk in use and use[row.pk].is_known else None,
        }
        for row in rows
    ]
