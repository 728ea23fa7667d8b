"""Screen a mail: the built-in scanner always, then ClamAV and rspamd where settings switch them on.

The cheapest looks first. Every scanner must have looked before a mail is `clean`. One that does not answer makes it
`unscannable`, with its name and what is wrong in the reason, and the caller waits.

Of mail on its way out whoever finds something ends it: it is refused, for whatever reason. Received mail may be let in
all the same, by a person or because its sender is trusted, so only a virus ends its screening: what comes first must
not hide what is worse.

The time is for all of them together. Still each has its even share of it, whatever those before it took: one that is
given less than it needs would be taken for dead, and left alone for other mail too. So a mail on which several of them
hang takes longer, by such a share for each but the first.

No state is kept and nothing is written; no transaction may be open, because this may take seconds.
"""

import functools
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, Protocol

from django.conf import settings

from apps.screening.builtin import default_builtin
from apps.screening.clamd import ClamdScanner
from apps.screening.errors import ScannerUnavailable
from apps.screening.findings import Outcome
from apps.screening.rspamd import RspamdScanner
from apps.screening.verdict import Direction, Envelope, Policy, Verdict

SCAN_SECONDS = 30.0
UNAVAILABLE = "scanner_unavailable"


class Scanner(Protocol):
    """Looks at a mail and says what it is. `scan` and `version` may be called from any thread."""

    name: str

    def version(self) -> str:
        """With the same version the same mail gets the same verdict; "" while it cannot be told."""

    def scan(
        self, raw: bytes, direction: Direction, envelope: Envelope, policy: Policy, *, timeout_seconds: float
    ) -> Verdict:
        """Raises ScannerUnavailable when there is no verdict."""


def screen(
    raw: bytes,
    *,
    direction: Direction,
    envelope: Envelope,
    policy: Policy,
    timeout_seconds: float | None = None,
) -> Verdict:
    """What a mail is, by every scanner there is. `timeout_seconds` is for all of them together. Never raises."""
    details: list[str] = []
    for verdict in _verdicts(_Mail(raw, direction, envelope, policy), timeout_seconds or SCAN_SECONDS):
        details += verdict.details
        if not verdict.is_clean:
            break
    version = version_of_scanners(policy)
    return Verdict(verdict.outcome, verdict.scanner, verdict.code, verdict.reason, tuple(details), version)


def screen_received(
    raw: bytes, *, envelope: Envelope, policy: Policy, timeout_seconds: float | None = None
) -> dict[Outcome, Verdict]:
    """What each scanner has against a received mail, by outcome; {} when nobody has anything. Never raises.

    Where one could not look through the mail and another did not answer, the latter is told: it may find worse yet.
    """
    against: dict[Outcome, Verdict] = {}
    for verdict in _verdicts(_Mail(raw, Direction.IN, envelope, policy), timeout_seconds or SCAN_SECONDS):
        known = against.get(verdict.outcome)
        is_open = verdict.code == UNAVAILABLE and known is not None and known.code != UNAVAILABLE
        if not verdict.is_clean and (known is None or is_open):
            against[verdict.outcome] = verdict
        if verdict.outcome == Outcome.INFECTED:
            break
    return against


class _Mail(NamedTuple):
    """What each scanner is asked about."""

    raw: bytes
    direction: Direction
    envelope: Envelope
    policy: Policy


def _verdicts(mail: _Mail, seconds: float) -> Iterator[Verdict]:
    """Each scanner's, one after the other: who is not asked for the next looks no further."""
    asked = scanners()
    deadline = time.monotonic() + seconds
    for scanner in asked:
        yield _ask(scanner, mail, max(seconds / len(asked), deadline - time.monotonic()))


def _ask(scanner: Scanner, mail: _Mail, seconds: float) -> Verdict:
    """One scanner's verdict, its evidence marked with its name."""
    try:
        verdict = scanner.scan(*mail, timeout_seconds=seconds)
    except ScannerUnavailable as error:
        return Verdict(Outcome.UNSCANNABLE, error.scanner, UNAVAILABLE, error.public)
    return replace(verdict, details=tuple(f"{scanner.name}: {one}" for one in verdict.details))


def all_answer() -> bool:
    """Whether every scanner that is switched on says that it lives. Costs a short question to a daemon, at most."""
    return all(scanner.version() for scanner in scanners())


def version_of_scanners(policy: Policy) -> str:
    """What a verdict rests on. A mail that was refused is looked at again when this has changed."""
    closed = "rejects" if policy.rejects_closed_archives else "sends"
    return "; ".join(
        [*(scanner.version() or f"{scanner.name} ?" for scanner in scanners()), f"{closed} closed archives"]
    )


def asks_daemons() -> bool:
    """Whether screening goes over a network, and may take as long as one."""
    return bool(settings.CLAMD_URL or settings.RSPAMD_URL)


def scanners() -> tuple[Scanner, ...]:
    """Those that are switched on, the cheapest first."""
    return (default_builtin(), *_daemons(settings.CLAMD_URL, settings.RSPAMD_URL, settings.RSPAMD_PASSWORD))


@functools.lru_cache(maxsize=4)
def _daemons(clamd_url: str, rspamd_url: str, rspamd_password: str) -> tuple[Scanner, ...]:
    """This process's clients, kept for their breakers and connections."""
    daemons: list[Scanner] = []
    if clamd_url:
        daemons.append(ClamdScanner(clamd_url))
    if rspamd_url:
        daemons.append(RspamdScanner(rspamd_url, rspamd_password))
    return tuple(daemons)


os.register_at_fork(after_in_child=_daemons.cache_clear)
