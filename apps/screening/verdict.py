"""What screening a mail comes to."""

from dataclasses import dataclass
from enum import StrEnum

from apps.screening.findings import Outcome


class Direction(StrEnum):
    """Which way a mail goes: what a spam filter may ask of a stranger (come again later), it may not ask of us."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Policy:
    """What an organisation decided where scanners cannot decide."""

    rejects_closed_archives: bool = False
    allows_forbidden_files: bool = False


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends a mail to whom; spam filters judge by it."""

    sender: str = ""
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of one scanner, or of all of them.

    `scanner` is the one that decided, `code` what it found, stable and in snake_case, `reason` a sentence for the
    sender that names the file. `details` are its evidence: rules, signatures, scores. `version` says which scanners,
    which rules and which policy it rests on: with the same, the same mail gets the same verdict.
    """

    outcome: Outcome
    scanner: str = ""
    code: str = ""
    reason: str = ""
    details: tuple[str, ...] = ()
    version: str = ""

    @property
    def is_clean(self) -> bool:
        return self.outcome == Outcome.CLEAN

    @property
    def is_known(self) -> bool:
        """Whether every scanner has looked at the mail."""
        return self.outcome != Outcome.UNSCANNABLE
