"""Erasing: one step after the other, each a piece at a time, until every table has been walked.

The steps of the rooms (settings.ERASURE_STEPS) remove what is the customer's own: received mail, held mail, what was
sent to them alone, refused submissions. After them a walk over every table that the organisation has rows in puts a
pseudonym wherever the address still stands, so that a table that somebody adds tomorrow is not forgotten.

Each piece is one transaction: the rows, the counts and the place in the walk. It holds the erasure's own row, so two
processes never do the same piece, and one that is killed leaves the next piece to whoever comes. Bytes that nobody
refers to any more are discarded in the same transaction; S3 forgets them after it (`blobs.discarding`).

Limits: mail that is accepted, or submitted, after the request is no part of it, and neither is a ticket it opens.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import structlog
from django.apps import apps
from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from psycopg.errors import UniqueViolation

from apps.erasure.models import Erasure, ErasureState
from apps.organisations.erasing import Found, NotYet, Step, Subject, mentions, rewrite, text_fields
from apps.organisations.models import Organisation
from apps.organisations.sealing import SealBroken, unseal

log = structlog.get_logger(__name__)

REWRITTEN_AT_ONCE = 200
OURS = "apps."
# What says when mail came or was sent, and when a ticket was opened.
MOMENTS = ("received_at", "opened_at")
FARTHEST = 3


def erase_some() -> int:
    """Do a piece of any erasure that can go on; how many pieces were done, 0 or 1. A clock asks again.

    In no order: one that fails each time must not keep the others, of other organisations perhaps, from theirs.
    """
    return int(any(advance(one) for one in Erasure.objects.filter(state=ErasureState.RUNNING).order_by("?")))


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
        and bool(text_fields(model))
        and bool(_way_to_organisation(model))
    )


class Rewriting:
    """Puts the pseudonym wherever a table of the organisation still says the address."""

    def __init__(self, model: type[models.Model]) -> None:
        self._model = model
        self.name = f"rewrite {model._meta.label}"  # noqa: SLF001 - Django's, documented

    def find(self, subject: Subject, after: str) -> list[Found]:
        rows: QuerySet[models.Model] = QuerySet(self._model)
        rows = rows.filter(
            mentions(self._model, subject), **{_way_to_organisation(self._model): subject.organisation_id}
        )
        if moment := _way_to_moment(self._model):
            rows = rows.filter(**{f"{moment}__lte": subject.requested_at})
        if after:
            rows = rows.filter(pk__gt=after)
        keys = rows.order_by("pk").values_list("pk", flat=True)[:REWRITTEN_AT_ONCE]
        return [Found(str(pk), pk) for pk in keys]

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        keys = [one.work for one in found]
        try:
            with transaction.atomic():
                return Counter(rewritten=rewrite(self._model, keys, subject))
        except IntegrityError as error:
            if len(keys) > 1:
                return sum((self.erase(subject, [one]) for one in found), Counter())
            if not isinstance(error.__cause__, UniqueViolation):
                raise
        # It would say what another row says already with the pseudonym, which an earlier erasure left there.
        QuerySet(self._model).filter(pk__in=keys).delete()
        return Counter(removed=1)


def _way_to_organisation(model: type[models.Model]) -> str:
    """The lookup of the organisation that a model's rows belong to; "" for a platform-wide table."""
    of_rows = (
        f"{way}{field.name}"
        for way, at in _ways_up(model)
        for field in _foreign_keys(at)
        if field.related_model is Organisation
    )
    return next(of_rows, "")


def _way_to_moment(model: type[models.Model]) -> str:
    """The lookup of when the mail, or the ticket, that a row is about came or was sent; "" where it is about none."""
    of_rows = (
        f"{way}{field.name}"
        for way, at in _ways_up(model)
        for field in at._meta.concrete_fields  # noqa: SLF001 - Django's, documented
        if field.name in MOMENTS
    )
    return next(of_rows, "")


def _ways_up(model: type[models.Model]) -> Iterator[tuple[str, type[models.Model]]]:
    """The model and those that each of its rows belongs to, nearest first, with the lookup that leads there."""
    ways: list[tuple[str, type[models.Model]]] = [("", model)]
    for way, at in ways:
        yield way, at
        if way.count(LOOKUP_SEP) < FARTHEST:
            up = [one for one in _foreign_keys(at) if not one.null and one.related_model is not Organisation]
            ways += [(f"{way}{one.name}{LOOKUP_SEP}", one.related_model) for one in up]


def _foreign_keys(model: type[models.Model]) -> "list[models.ForeignKey[Any, Any]]":
    fields = model._meta.concrete_fields  # noqa: SLF001 - Django's, documented
    return [field for field in fields if isinstance(field, models.ForeignKey)]
