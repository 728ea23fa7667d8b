"""Long pages by keyset: the place after which the next one begins, as it stands in an address."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.http import Http404


@dataclass(frozen=True, slots=True)
class PlaceInList:
    """A row's moment and id."""

    at: datetime
    row_id: uuid.UUID

    @classmethod
    def read(cls, text: str) -> "PlaceInList | None":
        """None for no place. One that nobody was given is no page of ours: 404."""
        if not text:
            return None
        moment, _separator, row_id = text.partition("~")
        try:
            at = datetime.fromisoformat(moment)
            place = cls(at, uuid.UUID(row_id))
        except ValueError as error:
            raise Http404 from error
        if at.tzinfo is None:
            raise Http404
        return place

    @classmethod
    def of(cls, row: Any, by: str = "created_at") -> "PlaceInList":
        return cls(getattr(row, by), row.pk)

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.row_id}"

    def before(self, rows: QuerySet[Any], by: str = "created_at") -> QuerySet[Any]:
        """Those of a list that is newest first that come after this place. `by`: the time it goes by."""
        # The first condition repeats what the second implies, in a form an index range scan can use.
        return rows.filter(
            Q(**{f"{by}__lte": self.at})
            & (Q(**{f"{by}__lt": self.at}) | Q(**{by: self.at, "id__lt": self.row_id}))
        )

    def after(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The same of a list that is oldest first."""
        return rows.filter(
            Q(created_at__gte=self.at)
            & (Q(created_at__gt=self.at) | Q(created_at=self.at, id__gt=self.row_id))
        )


def cut(rows: Sequence[Any], size: int, by: str = "created_at") -> tuple[Sequence[Any], str]:
    """A page of rows of which one too many was asked for, and where the next page begins ("" for nowhere)."""
    shown = rows[:size]
    return shown, str(PlaceInList.of(shown[-1], by)) if len(rows) > size else ""
