"""Which keys sign for a domain right now: the active ones of a proven domain, RSA first.

Asked for every message, so the answer is kept in the process for a few seconds: a key that is activated or retired
elsewhere is noticed within `KEPT_SECONDS`. Retiring keys stay published for days, so signing with one that long is
safe.

A key that does not open (SECRET_KEY was changed without a fallback) is logged and signs nothing: the mail goes out
unsigned rather than not at all, and the domain's page says so.
"""

import threading
import time
import uuid
from dataclasses import dataclass, field

import structlog

from apps.organisations.sealing import SealBroken, unseal
from apps.outbound.models import KeyAlgorithm, KeyState, SigningKey
from apps.outbound.signing.keys import Key, load_private

log = structlog.get_logger(__name__)

KEPT_SECONDS = 10.0
KEPT_DOMAINS = 1000
# The one everybody can check comes first: some receivers look at the first signatures only.
_ORDER = {KeyAlgorithm.RSA: 0, KeyAlgorithm.ED25519: 1}


@dataclass(slots=True)
class _Ring:
    """The keys of the domains asked for lately; `opened` keeps the loaded halves beyond that, by row."""

    rings: dict[str, tuple[float, tuple[Key, ...]]] = field(default_factory=dict, repr=False)
    opened: dict[uuid.UUID, Key] = field(default_factory=dict, repr=False)
    lock: threading.Lock = field(default_factory=threading.Lock)


_kept = _Ring()


def keys_for(domain: str) -> tuple[Key, ...]:
    """The keys that sign for a domain (lower-case ASCII); none when it has none, or is not proven."""
    now = time.monotonic()
    with _kept.lock:
        until, keys = _kept.rings.get(domain, (0.0, ()))
    if now < until:
        return keys
    keys = _read(domain)
    with _kept.lock:
        if len(_kept.rings) >= KEPT_DOMAINS:
            _kept.rings.clear()
            _kept.opened.clear()
        _kept.rings[domain] = (now + KEPT_SECONDS, keys)
    return keys


def forget_keys() -> None:
    """Read them anew at the next question: this process has just changed some."""
    with _kept.lock:
        _kept.rings.clear()
        _kept.opened.clear()


def opens(row: SigningKey) -> bool:
    """Whether the private half can be had under the SECRET_KEY of today or a fallback."""
    try:
        unseal(row.sealed_private_key, row.seal_purpose)
    except SealBroken:
        return False
    return True


def _read(domain: str) -> tuple[Key, ...]:
    rows = SigningKey.objects.filter(
        domain__name=domain, domain__verified_at__isnull=False, state=KeyState.ACTIVE
    )
    ordered = sorted(rows, key=lambda row: _ORDER[KeyAlgorithm(row.algorithm)])
    return tuple(key for row in ordered if (key := _open(row)) is not None)


def _open(row: SigningKey) -> Key | None:
    with _kept.lock:
        known = _kept.opened.get(row.pk)
    if known is not None:
        return known
    try:
        private = load_private(unseal(row.sealed_private_key, row.seal_purpose))
    except SealBroken:
        log.error("signing_key_does_not_open", key=str(row.pk), selector=row.selector)
        return None
    key = Key(row.selector, KeyAlgorithm(row.algorithm), private)
    with _kept.lock:
        _kept.opened[row.pk] = key
    return key
