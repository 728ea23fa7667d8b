"""Every change of a signing key's state, each one conditional UPDATE.

    (none) ──create_keys──▶ pending ──activate──▶ active ──┬─ a newer key of its algorithm is activated ─▶ retiring
                               │                           └─ stop_signing ─────────────────────────────▶ retiring
                               └──discard──▶ retired ◀──retire_due, after KEPT_PUBLISHED── retiring

A key signs in `active` only, and becomes so when its DNS record was seen to be right (`domains.tending`), or when a
person says so: on a network where nobody can look, as that of a trial. The selector of a new key is a new name, so
both records stand side by side: mail that the old key signed is checked by its own record for as long as that is
published. A retired key's private half is erased; its row stays, so that old mail's selector can be explained and no
selector is ever used twice.

A crash between two steps leaves both keys valid: `activate` replaces in one transaction, which the domain's row lock
makes the only one.

Limits: an active key whose record somebody takes out of DNS goes on signing, for a name server that fails for an hour
must not strip all mail of its signatures. The domain's page says it in red, and `stop_signing` is its button.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.events.services import publish
from apps.mailboxes.domains import domains_for
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Domain
from apps.organisations.models import new_id
from apps.organisations.sealing import seal
from apps.outbound.errors import NotPossibleNow
from apps.outbound.models import KeyAlgorithm, KeyState, SigningKey
from apps.outbound.signing.keyring import forget_keys
from apps.outbound.signing.keys import PrivateKey, generate, new_selector, private_bytes, public_text

# Longer than mail is retried (RFC 5321 §4.5.4.1: four to five days), and as long as a signature lasts
# (`signature.VALID_FOR`).
KEPT_PUBLISHED = timedelta(days=7)


def keys_of_domain(domain: Domain) -> QuerySet[SigningKey]:
    """All that are or will be published: RSA first, of each the newest first. Events tell of the retired ones."""
    keys = SigningKey.objects.filter(domain=domain).exclude(state=KeyState.RETIRED)
    return keys.order_by("-algorithm", "-created_at", "-id")


def signing_with(domains: Iterable[Domain]) -> dict[uuid.UUID, list[SigningKey]]:
    """The active keys of a page of domains, which the caller may know of: RSA first."""
    found: dict[uuid.UUID, list[SigningKey]] = {domain.pk: [] for domain in domains}
    for key in SigningKey.objects.filter(domain__in=found, state=KeyState.ACTIVE).order_by("-algorithm"):
        found[key.domain_id].append(key)
    return found


def key_for(principal: Principal, key_id: uuid.UUID | str, *, domain: Domain | None = None) -> SigningKey:
    """One key of the caller's organisation, and of this domain where one is given. Raises NotVisible."""
    keys = SigningKey.objects.select_related("domain").filter(domain__in=domains_for(principal))
    if domain is not None:
        keys = keys.filter(domain=domain)
    try:
        return keys.get(pk=key_id)
    except (SigningKey.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(key_id)) from error


def create_keys(
    domain: Domain,
    now: datetime,
    *,
    algorithms: Iterable[KeyAlgorithm] = tuple(KeyAlgorithm),
    actor: str = "",
) -> list[SigningKey]:
    """A pending key of each algorithm that has none pending: the first ones of a domain, or those to rotate to."""
    made = {algorithm: generate(algorithm) for algorithm in algorithms}
    with transaction.atomic():
        Domain.objects.select_for_update().get(pk=domain.pk)
        known = list(SigningKey.objects.filter(domain=domain))
        pending = {key.algorithm for key in known if key.state == KeyState.PENDING}
        taken = {key.selector for key in known}
        return [
            _create(domain, new_selector(algorithm, now, taken), algorithm, private, now=now, actor=actor)
            for algorithm, private in made.items()
            if algorithm not in pending
        ]


def _create(
    domain: Domain, selector: str, algorithm: KeyAlgorithm, private: PrivateKey, *, now: datetime, actor: str
) -> SigningKey:
    key = SigningKey(
        id=new_id(),
        organisation_id=domain.organisation_id,
        domain=domain,
        selector=selector,
        algorithm=algorithm,
        public_key=public_text(private),
        created_at=now,
    )
    key.sealed_private_key = seal(private_bytes(private), key.seal_purpose)
    key.save(force_insert=True)
    _publish(key, "created", actor)
    return key


@transaction.atomic
def activate(key: SigningKey, now: datetime, *, because: str, actor: str = "") -> None:
    """Sign with this key from now on, and let the one it replaces retire. `because` is `dns` or `person`.

    Raises NotPossibleNow for a key that is not pending any more.
    """
    Domain.objects.select_for_update().get(pk=key.domain_id)
    pending = SigningKey.objects.select_for_update().filter(pk=key.pk, state=KeyState.PENDING)
    if not pending.exists():
        raise NotPossibleNow("This key is not waiting to be used any more.")
    replaced = SigningKey.objects.filter(domain=key.domain_id, algorithm=key.algorithm, state=KeyState.ACTIVE)
    for old in replaced:
        _let_retire(old, now, actor)
    SigningKey.objects.filter(pk=key.pk).update(state=KeyState.ACTIVE, activated_at=now)
    _publish(key, "activated", actor, because=because)
    transaction.on_commit(forget_keys)


@transaction.atomic
def stop_signing(key: SigningKey, now: datetime, *, actor: str = "") -> None:
    """Sign with this key no more; leave its record where it is. Raises NotPossibleNow for one that does not sign."""
    if not _let_retire(key, now, actor):
        raise NotPossibleNow("This key does not sign.")
    transaction.on_commit(forget_keys)


@transaction.atomic
def discard(key: SigningKey, now: datetime, *, actor: str = "") -> None:
    """Give up a key that never signed. Raises NotPossibleNow for one that has.

    Its row stays: a later key under the same selector would meet the record that somebody may have published already.
    """
    changed = SigningKey.objects.filter(pk=key.pk, state=KeyState.PENDING).update(
        state=KeyState.RETIRED, retired_at=now, sealed_private_key=""
    )
    if not changed:
        raise NotPossibleNow("This key has signed mail: it can stop signing, and retires by itself.")
    _publish(key, "discarded", actor)


def note_seen(keys: Iterable[SigningKey], now: datetime) -> None:
    """Their records were right at this moment."""
    SigningKey.objects.filter(pk__in=[key.pk for key in keys]).update(seen_at=now)


def retire_due(now: datetime) -> int:
    """End the retiring ones whose time has passed, and erase their private halves; how many."""
    due = SigningKey.objects.filter(state=KeyState.RETIRING, retiring_at__lte=now - KEPT_PUBLISHED)
    retired = 0
    for key in due[:100]:
        with transaction.atomic():
            changed = SigningKey.objects.filter(pk=key.pk, state=KeyState.RETIRING).update(
                state=KeyState.RETIRED, retired_at=now, sealed_private_key=""
            )
            if changed:
                _publish(key, "retired", "")
                retired += 1
    return retired


def _let_retire(key: SigningKey, now: datetime, actor: str) -> bool:
    changed = SigningKey.objects.filter(pk=key.pk, state=KeyState.ACTIVE).update(
        state=KeyState.RETIRING, retiring_at=now
    )
    if changed:
        _publish(key, "retiring", actor)
    return bool(changed)


def _publish(key: SigningKey, what: str, actor: str, because: str | None = None) -> None:
    publish(
        key.organisation_id,
        f"signing_key.{what}",
        actor=actor,
        key=str(key.pk),
        domain=str(key.domain_id),
        algorithm=str(key.algorithm),
        because=because,
    )
