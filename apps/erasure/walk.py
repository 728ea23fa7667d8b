"""Erasing: one step after the other, each a piece at a time, until every table has been walked.

The steps of the rooms (settings.ERASURE_STEPS) remove what is the customer's own: received mail, held mail, what was
sent to them alone, refused submissions. After them a walk over every table that the organisation has rows in puts a
pseudonym wherever the address still stands, so that a table that somebody adds tomorrow is not forgotten.

Each piece is one transaction: the rows, the counts and the place in the walk. It holds the erasure's own row, so two
processes never do the same piece, and one that is killed leaves the next piece to whoever comes. Bytes that nobody
refers to any more are discarded in the same transaction; S3 forgets them after it (`blobs.discarding`).

Limits: mail that arrives, or is written, after the request is no part of it.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import structlog
from django.apps import apps
from django.conf import settings
from django.db import connection, models, transaction
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from apps.erasure.models import Erasure, ErasureState
from apps.organisations.erasing import Found, NotYet, Step, Subject, mentions, rewrite, text_columns
from apps.organisations.models import Organisation
from apps.organisations.sealing import SealBroken, unseal

log = structlog.get_logger(__name__)

REWRITTEN_AT_ONCE = 200
OURS = "apps."


def erase_some() -> int:
    """Do a piece of the oldest erasure that can go on; how many pieces were done, 0 or 1. A clock asks again."""
    return int(any(advance(one) for one in Erasure.objects.filter(state=ErasureState.RUNNING).order_by("pk")))


def advance(erasure: Erasure) -> bool:
    """Do one piece of it; False when it waits for something, or has ended. Raises ObjectStoreUnavailable."""
    erasure.refresh_from_db()
    if erasure.state != ErasureState.RUNNING:
        return False
    try:
        address = unseal(erasure.sealed_address, erasure.seal_purpose).decode()
    except SealBroken:
        log.error("erasure_address_unreadable", erasure=str(erasure.pk))
        return _end(erasure, ErasureState.FAILED)
    subject = Subject(erasure.organisation_id, address, erasure.requested_at)
    steps = all_steps()
    here = next((n for n, step in enumerate(steps) if step.name == erasure.step), 0)
    try:
        found = steps[here].find(subject, erasure.after)
    except NotYet:
        return False
    if found:
        return _erase(erasure, steps[here], subject, found)
    if here + 1 == len(steps):
        return _end(erasure, ErasureState.DONE)
    return _move(erasure, steps[here + 1].name, "")


@transaction.atomic
def _erase(erasure: Erasure, step: Step, subject: Subject, found: Sequence[Found]) -> bool:
    if not _move(erasure, step.name, found[-1].key):
        return True  # somebody else has done this piece
    counts = Counter(erasure.counts)
    counts.update(step.erase(subject, found))
    Erasure.objects.filter(pk=erasure.pk).update(counts=dict(counts))
    return True


def _move(erasure: Erasure, step: str, after: str) -> bool:
    """Move the place, if it is still where it was when this piece was looked for. Locks the row until the commit."""
    standing = Erasure.objects.filter(
        pk=erasure.pk, state=ErasureState.RUNNING, step=erasure.step, after=erasure.after
    )
    return bool(standing.update(step=step, after=after))


def _end(erasure: Erasure, state: ErasureState) -> bool:
    running = Erasure.objects.filter(pk=erasure.pk, state=ErasureState.RUNNING)
    running.update(state=state, sealed_address="", step="", after="", finished_at=Now())
    return True


@cache
def all_steps() -> tuple[Step, ...]:
    """The rooms' steps in the order of the settings, then every table that may hold an address."""
    of_rooms = [import_string(path)() for path in settings.ERASURE_STEPS]
    return (*of_rooms, *(Rewriting(model) for model in apps.get_models() if _may_name_somebody(model)))


def _may_name_somebody(model: type[models.Model]) -> bool:
    return (
        model.__module__.startswith(OURS)
        and model is not Erasure
        and bool(text_columns(model))
        and bool(_way_to_organisation(model))
    )


class Rewriting:
    """Puts the pseudonym wherever a table of the organisation still says the address."""

    def __init__(self, model: type[models.Model]) -> None:
        self._model = model
        self.name = f"rewrite {model._meta.label}"  # noqa: SLF001 - Django's, documented

    def find(self, subject: Subject, after: str) -> list[Found]:
        meta, quote = self._model._meta, connection.ops.quote_name  # noqa: SLF001
        key = f"here.{quote(str(meta.pk.column))}"
        way = _way_to_organisation(self._model)
        parameters: dict[str, Any] = {
            "organisation": subject.organisation_id,
            "pattern": subject.pattern,
            "after": after,
        }
        beyond = f"AND {key} > %(after)s::{meta.pk.rel_db_type(connection)}" if after else ""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {key} FROM {quote(meta.db_table)} AS here {way} {beyond}"  # noqa: S608 - our own names
                f" AND ({mentions(self._model, 'here')}) ORDER BY {key} LIMIT {REWRITTEN_AT_ONCE}",
                parameters,
            )
            return [Found(str(pk), pk) for (pk,) in cursor.fetchall()]

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        return Counter(rewritten=rewrite(self._model, [one.work for one in found], subject))


def _way_to_organisation(model: type[models.Model]) -> str:
    """Joins from `here` to whoever carries the organisation, and the condition; "" for a platform-wide table."""
    quote = connection.ops.quote_name
    joins, at, alias = "", model, "here"
    for n in range(3):
        fields = [one for one in at._meta.concrete_fields if isinstance(one, models.ForeignKey)]  # noqa: SLF001
        own = next((one for one in fields if one.related_model is Organisation), None)
        if own is not None:
            return f"{joins} WHERE {alias}.{quote(str(own.column))} = %(organisation)s"
        up = next(
            (one for one in fields if not one.null and one.related_model.__module__.startswith(OURS)), None
        )
        if up is None:
            return ""
        target = up.related_model._meta  # noqa: SLF001
        joins += (
            f" JOIN {quote(target.db_table)} AS up{n}"
            f" ON up{n}.{quote(str(target.pk.column))} = {alias}.{quote(str(up.column))}"
        )
        at, alias = up.related_model, f"up{n}"
    return ""
