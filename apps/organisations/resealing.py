"""After SECRET_KEY was changed: what only a fallback still opens is sealed anew, and the fallback may be taken away.

Every column named `sealed_…`, of whichever model, is found by that name; its row says in `seal_purpose` what it is
sealed for. A room that keeps a secret so has nothing more to do.

A crash leaves some rows anew and some for the next round; both open meanwhile. A secret that somebody changes while it
is sealed anew stays as they changed it.

Limits: what opens with no key at all is left as it is, and told wherever it is needed.
"""

from collections.abc import Iterator

from django.apps import apps
from django.db import models

from apps.organisations.sealing import SealBroken, is_stale, seal, unseal


def reseal_stale() -> int:
    """Seal anew what needs it; how many."""
    return sum(_reseal(model, column) for model, column in sealed_columns())


def sealed_columns() -> Iterator[tuple[type[models.Model], str]]:
    """Where secrets are kept."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:  # noqa: SLF001 - documented API
            if field.name.startswith("sealed_"):
                yield model, field.name


def _reseal(model: type[models.Model], column: str) -> int:
    resealed = 0
    rows = model._default_manager.exclude(**{column: ""})  # noqa: SLF001 - documented API
    for row in rows.iterator():
        sealed, purpose = getattr(row, column), row.seal_purpose  # type: ignore[attr-defined]  # a test holds each to it
        try:
            if not is_stale(sealed, purpose):
                continue
            anew = seal(unseal(sealed, purpose), purpose)
        except SealBroken:
            continue
        resealed += rows.filter(pk=row.pk, **{column: sealed}).update(**{column: anew})
    return resealed
