"""New rows of several tables, written in one statement.

What is written of one mail is ten rows of six tables. Django makes each table's INSERT anew and sends each by itself,
which was a third of what it cost to take a mail. Here the shape of a model's INSERT is made once in a process, and all
of them leave together.

Foreign keys are checked at the commit (Django has them deferred), so the order of the rows does not matter.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connection, models
from django.db.models.sql import InsertQuery

from apps.organisations.prepared import executed


@dataclass(frozen=True, slots=True)
class _Shape:
    """A model's INSERT up to its values, and what stands for each of them."""

    head: str
    fields: tuple["models.Field[Any, Any]", ...]
    placeholders: tuple[str, ...]


def insert(*rows: models.Model) -> None:
    """Write new rows in the caller's transaction. A key that the database counts is not brought back."""
    by_model: defaultdict[type[models.Model], list[models.Model]] = defaultdict(list)
    for row in rows:
        by_model[type(row)].append(row)
    statements, parameters = [], list[Any]()
    for model, some in by_model.items():
        shape = _shape(model)
        values = ", ".join(_values(shape, row, parameters) for row in some)
        statements.append(f"{shape.head} VALUES {values}")
    if not statements:
        return
    *others, last = statements
    together = ", ".join(f"insert_{n} AS ({statement})" for n, statement in enumerate(others))
    with executed(f"WITH {together} {last}" if together else last, parameters):
        pass
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias  # noqa: SLF001 - Django's, documented


def _values(shape: _Shape, row: models.Model, parameters: list[Any]) -> str:
    placeholders = list(shape.placeholders)
    for n, field in enumerate(shape.fields):
        value = field.pre_save(row, add=True)
        if isinstance(value, models.Expression):
            compiler = InsertQuery(type(row)).get_compiler(connection=connection)
            placeholders[n], of_expression = compiler.compile(value.resolve_expression(compiler.query))
            parameters += of_expression
        else:
            parameters.append(field.get_db_prep_save(value, connection))
    return f"({', '.join(placeholders)})"


@cache
def _shape(model: type[models.Model]) -> _Shape:
    meta = model._meta  # noqa: SLF001 - Django's, documented
    quote = connection.ops.quote_name
    fields = tuple(field for field in meta.concrete_fields if field is not meta.auto_field)
    columns = ", ".join(quote(str(field.column)) for field in fields)
    # An array's says of what type it is.
    placeholders = tuple(
        field.get_placeholder(None, None, connection) if hasattr(field, "get_placeholder") else "%s"
        for field in fields
    )
    return _Shape(f"INSERT INTO {quote(meta.db_table)} ({columns})", fields, placeholders)
