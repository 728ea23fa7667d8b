"""What a scanner may find, as values that cross a process's border."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What a mail is. `forbidden`: harmless for all we know, and of a kind that may not be sent. `unscannable`: nobody
    knows yet; it waits, and is never sent unlooked at."""

    CLEAN = "clean"
    INFECTED = "infected"
    SPAM = "spam"
    FORBIDDEN = "forbidden"
    UNSCANNABLE = "unscannable"


WORST_FIRST = (Outcome.INFECTED, Outcome.FORBIDDEN, Outcome.SPAM, Outcome.UNSCANNABLE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in a mail. `where` names the file, from the outside in: ("kit.zip", "tools/setup.exe"); () is the
    mail's own text. `rule` is the evidence for whoever keeps the rules, `detail` the word that matched."""

    outcome: Outcome
    code: str
    where: tuple[str, ...]
    rule: str = ""
    detail: str = ""
