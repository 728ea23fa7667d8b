"""How a person likes to work: read on every page, changed on the page Keys.

Only a person has preferences; a key or a room that asks gets the defaults and can keep none.
"""

from collections.abc import Mapping
from typing import Any

from apps.accounts.models import Preferences
from apps.accounts.principal import Principal


def preferences_of(principal: Principal) -> Preferences:
    """The person's own, or a row that was never kept, with the defaults."""
    found = Preferences.objects.filter(organisation_id=principal.organisation_id, user=principal.user).first()
    return found or Preferences(organisation_id=principal.organisation_id, user=principal.user)


def choose_keys(principal: Principal, keys: Mapping[str, str]) -> None:
    """Keep the keys that differ from the defaults; all others are the defaults again."""
    _keep(principal, keys=dict(keys))


def switch_single_keys(principal: Principal, *, on: bool) -> None:
    """Whether keys without Ctrl do anything."""
    _keep(principal, single_keys=on)


def _keep(principal: Principal, **chosen: Any) -> None:
    Preferences.objects.update_or_create(
        organisation_id=principal.organisation_id, user=principal.user, defaults=chosen
    )
