"""Pages by keyset: a cursor says after which row the page begins, so a page costs the same at any depth.

A cursor is opaque to clients and worth nothing to an attacker: it is a position, every page is asked within what its
caller may see, and one that does not decode is 422, not a crash.

Limits: a ticket that moves to the top while somebody pages downwards is not met again on that walk.
"""

import base64
import binascii
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from apps.api.problems import FieldError, InvalidRequest

Row = TypeVar("Row", bound=Model)

PAGE_SIZE = 50
MAX_PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two rows. `forward`: the page holds what comes after it in the list, else what comes before."""

    at: datetime
    id: uuid.UUID
    forward: bool = True

    def encode(self) -> str:
        fields = [int(self.forward), self.at.isoformat(), str(self.id)]
        return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Raises InvalidRequest for anything `encode` did not make."""
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            forward, at, row_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            cursor = cls(datetime.fromisoformat(at), uuid.UUID(row_id), forward=bool(forward))
        except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
            raise _bad_cursor() from error
        if cursor.at.tzinfo is None:
            raise _bad_cursor()
        return cursor


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, newest first, and where the pages beside them are."""

    rows: Sequence[Row]
    next: str | None
    previous: str | None


def paginate(
    request: Request,
    rows: QuerySet[Row] | Sequence[QuerySet[Any]],
    *,
    by: str,
    cursor: Cursor | None,
    limit: int,
) -> Page[Row]:
    """One page of `rows`, newest first by the time field `by` and then by id. URLs are absolute, with all filters.

    Several querysets are merged into one list: no page costs more than a page of each.
    """
    forward = cursor is None or cursor.forward
    order = (f"-{by}", "-id") if forward else (by, "id")
    sources = [rows] if isinstance(rows, QuerySet) else rows
    if cursor is not None:
        sources = [source.filter(_beyond(by, cursor)) for source in sources]
    found = [row for source in sources for row in source.order_by(*order)[: limit + 1]]
    found.sort(key=lambda row: (getattr(row, by), row.pk), reverse=forward)
    found = found[: limit + 1]
    more, shown = len(found) > limit, found[:limit]
    if not forward:
        shown.reverse()
    has_next = more if forward else True
    has_previous = cursor is not None if forward else more
    return Page(
        rows=shown,
        next=_url(request, shown[-1], by, forward=True) if shown and has_next else None,
        previous=_url(request, shown[0], by, forward=False) if shown and has_previous else None,
    )


def _beyond(by: str, cursor: Cursor) -> Q:
    # The first condition repeats what the second implies, in a form an index range scan can use.
    side = "lt" if cursor.forward else "gt"
    return Q(**{f"{by}__{side}e": cursor.at}) & (
        Q(**{f"{by}__{side}": cursor.at}) | Q(**{by: cursor.at, f"id__{side}": cursor.id})
    )


def _url(request: Request, row: Model, by: str, *, forward: bool) -> str:
    cursor = Cursor(getattr(row, by), row.pk, forward=forward)
    return replace_query_param(request.build_absolute_uri(), "cursor", cursor.encode())


def _bad_cursor() -> InvalidRequest:
    detail = "Take cursors from `next` and `previous` of an answer, as they are."
    return InvalidRequest(FieldError("cursor", "invalid", detail))
