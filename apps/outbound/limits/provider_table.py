"""Providers' limits as a table: its format, and reading it. Knows no Django, so that the environment can check a file.

A table is TOML (or JSON of the same shape): a list `limit` of entries, and the first one that fits a reply decides.

    [[limit]]
    provider = "Amazon SES"                 who says so
    reply = "454"                           the code; after it, where they send one, the enhanced code: "421 4.7.28".
                                            A part may end in *: "4*", "451 4.7.5*"
    words = ["maximum sending rate"]        all of these stand in the reply, in any case
    kind = "rate"                           see `Kind`
    scope = "account"                       see `Scope`
    wait = "1m"                             for how long, where the reply states no time: 30s, 5m, 2h, 1d
    source = "https://…"                    where it is documented
    example = "454 Throttling failure: …"   a whole reply it is meant for

`words` are plain strings and no regular expressions: a reply is a stranger's text, and must not be able to stall us.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

BUILT_IN = Path(__file__).with_name("providers.toml")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_FIELDS = {"provider", "reply", "words", "kind", "scope", "wait", "source", "example"}
_REQUIRED = {"provider", "reply", "kind", "scope", "wait"}


class Kind(StrEnum):
    """What there is too much of, or what else makes them wait."""

    RATE = "rate"
    CONNECTIONS = "connections"
    QUOTA = "quota"
    BUSY = "busy"
    RECIPIENTS = "recipients"
    REPUTATION = "reputation"
    GREYLISTING = "greylisting"
    MAILBOX_FULL = "mailbox_full"
    SIZE = "size"
    POLICY = "policy"


class Scope(StrEnum):
    """What a limit holds up.

    account: our account at the relay, so all that goes over it. relay: us, at the server we speak to; for a smarthost
    that is the relay, for a recipient's own server that destination. destination: one domain behind the relay.
    recipient: this one mail only.
    """

    ACCOUNT = "account"
    RELAY = "relay"
    DESTINATION = "destination"
    RECIPIENT = "recipient"


class TableInvalid(ValueError):
    """The table cannot be used; the text names the entry and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of the table."""

    provider: str
    code: str
    enhanced: str
    words: tuple[str, ...]
    kind: Kind
    scope: Scope
    wait: timedelta
    source: str = ""
    example: str = ""

    def fits(self, code: int, enhanced: str, folded_text: str) -> bool:
        """Whether a reply is meant. `folded_text` is case-folded."""
        return (
            _matches(self.code, str(code))
            and (not self.enhanced or _matches(self.enhanced, enhanced))
            and all(word in folded_text for word in self.words)
        )


def read_table(path: Path) -> tuple[Rule, ...]:
    """The table in a file: JSON by its name, else TOML. Raises TableInvalid, or OSError."""
    content = path.read_bytes()
    try:
        table = json.loads(content) if path.suffix == ".json" else tomllib.loads(content.decode())
    except ValueError as error:
        msg = f"it is not {'JSON' if path.suffix == '.json' else 'TOML'}: {error}"
        raise TableInvalid(msg) from error
    entries = table.get("limit") if isinstance(table, dict) else None
    if not isinstance(entries, list):
        msg = "it has no list `limit`"
        raise TableInvalid(msg)
    return tuple(_read(entry, number) for number, entry in enumerate(entries, 1))


def _read(entry: Any, number: int) -> Rule:
    try:
        return _rule_of(entry)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"entry {number}: {error.args[0] if error.args else error}"
        raise TableInvalid(msg) from error


def _rule_of(entry: Any) -> Rule:
    if not isinstance(entry, Mapping):
        raise TypeError("it is no table of fields")
    if wrong := (set(entry) - _FIELDS) | (_REQUIRED - set(entry)):
        raise ValueError(f"{min(wrong)} is {'unknown' if min(wrong) in entry else 'missing'}")
    words = entry.get("words", [])
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise ValueError("words is a list of strings")
    code, _space, enhanced = str(entry["reply"]).partition(" ")
    if not (code == "*" or (code.rstrip("*").isdigit() and code[0] in "45")):
        raise ValueError("reply begins with a code of 4yz or 5yz, or *")
    return Rule(
        provider=str(entry["provider"]),
        code=code,
        enhanced=enhanced,
        words=tuple(word.casefold() for word in words),
        kind=Kind(entry["kind"]),
        scope=Scope(entry["scope"]),
        wait=_duration(str(entry["wait"])),
        source=str(entry.get("source", "")),
        example=str(entry.get("example", "")),
    )


def _duration(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdigit() or not int(number):
        raise ValueError("wait is a number and s, m, h or d")
    return timedelta(**{_UNITS[unit]: int(number)})


def _matches(pattern: str, value: str) -> bool:
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern
