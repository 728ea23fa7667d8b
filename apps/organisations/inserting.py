"""New rows of several tables, written in one statement.

What is written of one mail is ten rows of six tables, and mails come in batches. Django makes each table's INSERT anew
and sends each by itself, which was a third of what it cost to take a mail. Here all of them leave together, each
table's rows as one parameter, a JSON text: so the statement is the same however many rows there are, PostgreSQL plans
it once in a connection, and nothing walks through hundreds of parameters.

Foreign keys are checked at the commit (Django has them deferred), so the order of the rows does not matter. Those of
one table are written in the order given.

Limits: an expression of Django's may stand for a value where it has no parameters (`Now()`), or is a `FromText`.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

from django.db import connection, models
from django.db.models.sql import InsertQuery
from django.utils.functional import Promise

from apps.organisations.prepared import executed

_AS_TEXT = (UUID, Decimal, IPv4Address, IPv6Address, Promise)
# Where a value is made by the database, and how: ("search", "to_tsvector('simple', {})").
_Made = tuple[tuple[str, str], ...]


class FromText(models.Func):
    """What PostgreSQL makes of a text, for a column. `call` is SQL with `{}` where the text stands."""

    def __init__(self, text: str, *, call: str) -> None:
        super().__init__(
            models.Value(text), template=call.format("%(expressions)s"), output_field=models.TextField()
        )
        self.text = text
        self.call = call


@dataclass(frozen=True, slots=True)
class _Column:
    """`by_field`: its value is not simply what the attribute holds (`auto_now_add`)."""

    name: str
    type: str
    attribute: str
    by_field: "models.Field[Any, Any] | None"


def insert(*rows: models.Model) -> None:
    """Write new rows in the caller's transaction. A key that the database counts is not brought back."""
    by_shape: defaultdict[tuple[type[models.Model], _Made], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        values, made = _values(row)
        by_shape[type(row), made].append(values)
    if not by_shape:
        return
    *others, last = (_statement(model, made) for model, made in by_shape)
    together = ", ".join(f"insert_{n} AS ({statement})" for n, statement in enumerate(others))
    contents = [_as_json(some) for some in by_shape.values()]
    with executed(f"WITH {together} {last}" if together else last, contents):
        pass
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias  # noqa: SLF001 - Django's, documented


def _values(row: models.Model) -> tuple[dict[str, Any], _Made]:
    values: dict[str, Any] = {}
    made: list[tuple[str, str]] = []
    for column in _columns(type(row)):
        field = column.by_field
        value = getattr(row, column.attribute) if field is None else field.pre_save(row, add=True)
        if isinstance(value, FromText):
            made.append((column.name, value.call))
            value = value.text
        elif isinstance(value, models.Expression):
            made.append((column.name, _constant(type(row), value)))
            continue
        values[column.name] = value
    return values, tuple(made)


def _constant(model: type[models.Model], expression: models.Expression) -> str:
    compiler = InsertQuery(model).get_compiler(connection=connection)
    sql, parameters = compiler.compile(expression.resolve_expression(compiler.query))
    if parameters:
        msg = f"{expression!r} has parameters"
        raise TypeError(msg)
    return str(sql).replace("{", "{{").replace("}", "}}")


@cache
def _columns(model: type[models.Model]) -> tuple[_Column, ...]:
    meta = model._meta  # noqa: SLF001 - Django's, documented
    fields = (field for field in meta.concrete_fields if field is not meta.auto_field)
    return tuple(
        _Column(
            name=str(field.column),
            type=str(field.db_type(connection)),
            attribute=field.attname,
            by_field=field if type(field).pre_save is not models.Field.pre_save else None,
        )
        for field in fields
    )


@cache
def _statement(model: type[models.Model], made: _Made) -> str:
    quote = connection.ops.quote_name
    calls = dict(made)
    names, read, selected = [], [], []
    for column in _columns(model):
        name, call = quote(column.name), calls.get(column.name, "{}")
        names.append(name)
        selected.append(call.format(name))
        if "{}" in call:
            read.append(f"{name} {column.type if call == '{}' else 'text'}")
    return (
        f"INSERT INTO {quote(model._meta.db_table)} ({', '.join(names)}) "  # noqa: S608, SLF001 - our own names
        f"SELECT {', '.join(selected)} FROM json_to_recordset(%s) AS one ({', '.join(read)})"
    )


def _as_json(rows: Sequence[dict[str, Any]]) -> str:
    return json.dumps(rows, default=_plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return f"\\x{value.hex()}"
    if isinstance(value, _AS_TEXT):
        return str(value)
    msg = f"{type(value).__name__} cannot be written"
    raise TypeError(msg)
