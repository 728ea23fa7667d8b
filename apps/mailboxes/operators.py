"""What somebody asks a search for: words and operators, read from one line of text. No database, no clock of its own.

    elena refund                 both words; the last one may be unfinished
    "second charge"              these words in this order
    from: to: subject:           who wrote, whom to (Cc too), what it is called
    has:attachment  has:pdf      files, or files with an extension
    before: after:               days: 2026-03-01, 2026-03, 2026, today, yesterday, 7d 2w 3m 1y (ago)
    is:                          unread read starred snoozed open pending solved
    in:                          a folder; anywhere: Spam and Trash too
    assignee:  mentions:         somebody's name or address, `me`; `none` for tickets nobody has
    label:  tag:                 a label's name, or a ticket's tag
    #1234                        a ticket's number
    -                            before any of these: not

Nothing is refused. What cannot be understood becomes a `Remark`, which a person is told; an operator nobody knows is
searched for as the words it is made of, because `10:30` and `http://…` are what people paste.

Limits: no OR and no brackets; at most `MAX_CLAUSES` clauses, the rest is told as left out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from apps.mailboxes.search import fold
from apps.mime.clean import clean_text

MAX_CLAUSES = 20


class Kind(StrEnum):
    """What a clause speaks of. The values are the operators' names."""

    WORDS = "words"
    NUMBER = "number"
    FROM = "from"
    TO = "to"
    SUBJECT = "subject"
    HAS = "has"
    BEFORE = "before"
    AFTER = "after"
    IS = "is"
    IN = "in"
    ASSIGNEE = "assignee"
    MENTIONS = "mentions"
    LABEL = "label"


OPERATORS: Mapping[str, Kind] = {
    kind.value: kind for kind in Kind if kind not in {Kind.WORDS, Kind.NUMBER}
} | {"tag": Kind.LABEL, "cc": Kind.TO, "assigned": Kind.ASSIGNEE, "newer": Kind.AFTER, "older": Kind.BEFORE}
STATES = ("unread", "read", "starred", "snoozed", "open", "pending", "solved")
ANYWHERE = "anywhere"
PLACES = ("inbox", "snoozed", "sent", "outbox", "archive", "spam", "trash", ANYWHERE)
ATTACHMENT = "attachment"
_FILES = frozenset({"attachment", "attachments", "file", "files"})


class RemarkCode(StrEnum):
    UNKNOWN_OPERATOR = "unknown_operator"
    NO_VALUE = "no_value"
    NO_STATE = "no_state"
    NO_PLACE = "no_place"
    NO_DAY = "no_day"
    TOO_MUCH = "too_much"


_CHOICES: Mapping[Kind, tuple[Sequence[str], RemarkCode]] = {
    Kind.IS: (STATES, RemarkCode.NO_STATE),
    Kind.IN: (PLACES, RemarkCode.NO_PLACE),
}


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that was not understood as it stands. `said` is that piece of the text."""

    code: RemarkCode
    said: str


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing that must hold; `negated`, that must not. `at`: the moment of a `before` or `after`."""

    kind: Kind
    value: str
    negated: bool = False
    quoted: bool = False
    unfinished: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    clauses: tuple[Clause, ...] = ()
    remarks: tuple[Remark, ...] = ()

    def of(self, kind: Kind) -> tuple[Clause, ...]:
        return tuple(clause for clause in self.clauses if clause.kind == kind)

    @property
    def words(self) -> tuple[Clause, ...]:
        """What a matching mail says where one can see it: what is marked in a list."""
        shown = {Kind.WORDS, Kind.FROM, Kind.TO, Kind.SUBJECT}
        return tuple(one for one in self.clauses if one.kind in shown and not one.negated)


_TOKEN = re.compile(
    r"""(?P<not>-(?=[^\s-]))?(?:(?P<operator>[^\W\d_]+):(?!//))?(?:"(?P<quoted>[^"]*)(?P<closed>"?)|(?P<bare>\S*))"""
)
_AGO = re.compile(r"(\d{1,4})([dwmy])")
_DAYS_OF = {"d": 1, "w": 7, "m": 30, "y": 365}
_NUMBER = re.compile(r"#(\d{1,18})")


def read_query(text: str, now: datetime) -> Asked:
    """What a line of search asks for. `now` is on the asker's clock: days begin there."""
    text = clean_text(text)
    clauses: list[Clause] = []
    remarks: list[Remark] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        found = _TOKEN.match(text, position)
        if found is None or found.end() == position:  # pragma: no cover - `bare` takes whatever stands there
            break
        if len(clauses) == MAX_CLAUSES:
            remarks.append(Remark(RemarkCode.TOO_MUCH, text[position:].strip()))
            break
        position = found.end()
        read = _read(found, now, is_last=position == len(text))
        if isinstance(read, Remark):
            remarks.append(read)
        elif read.value:
            clauses.append(read)
            if found["operator"] and read.kind == Kind.WORDS:
                remarks.append(Remark(RemarkCode.UNKNOWN_OPERATOR, f"{found['operator']}:"))
    return Asked(tuple(clauses), tuple(remarks))


def with_label_renamed(text: str, key: str, value: str) -> str:
    """A search that asks for the label of this folded name, asking for it by another. Every other sign stays.

    `value`: what a search has after `label:`.
    """
    out: list[str] = []
    position = 0
    while position < len(text):
        found = None if text[position].isspace() else _TOKEN.match(text, position)
        end = max(position + 1, found.end() if found else 0)
        said = text[position:end]
        if found and (operator := found["operator"]) and OPERATORS.get(operator.lower()) == Kind.LABEL:
            named = found["quoted"] if found["quoted"] is not None else found["bare"]
            if fold(named.strip()) == key:
                said = f"{'-' if found['not'] else ''}{operator}:{value}"
        out.append(said)
        position = end
    return "".join(out)


def _read(found: re.Match[str], now: datetime, *, is_last: bool) -> Clause | Remark:
    quoted = found["quoted"] is not None
    value = (found["quoted"] if quoted else found["bare"]).strip()
    negated = found["not"] is not None
    operator = found["operator"]
    kind = OPERATORS.get(operator.lower()) if operator else None
    unfinished = is_last and not quoted and not negated
    if kind is not None:
        return _operator(kind, value, found[0], now, negated=negated, unfinished=unfinished, quoted=quoted)
    if not quoted and operator is None and (number := _NUMBER.fullmatch(value)):
        return Clause(Kind.NUMBER, number[1], negated)
    words = f"{operator} {value}" if operator else value
    return Clause(Kind.WORDS, words, negated, quoted and operator is None, unfinished)


def _operator(
    kind: Kind, value: str, said: str, now: datetime, *, negated: bool, unfinished: bool, quoted: bool
) -> Clause | Remark:
    if not value:
        return Remark(RemarkCode.NO_VALUE, said)
    if kind in _CHOICES:
        choices, otherwise = _CHOICES[kind]
        known = value.lower() in choices
        return Clause(kind, value.lower(), negated) if known else Remark(otherwise, said)
    if kind in {Kind.BEFORE, Kind.AFTER}:
        at = _day(value, now)
        return Clause(kind, value, negated, at=at) if at else Remark(RemarkCode.NO_DAY, said)
    if kind == Kind.HAS:
        value = ATTACHMENT if value.lower() in _FILES else value.lower().lstrip(".")
    return Clause(kind, value, negated, quoted, unfinished and kind != Kind.HAS)


def _day(value: str, now: datetime) -> datetime | None:
    """The beginning of a day, a month or a year; or a while ago."""
    text = value.lower().replace("/", "-").replace(".", "-")
    today = now.date()
    if text in {"today", "yesterday"}:
        return _midnight(today - timedelta(days=text == "yesterday"), now)
    if ago := _AGO.fullmatch(text):
        try:
            return _midnight(today - timedelta(days=int(ago[1]) * _DAYS_OF[ago[2]]), now)
        except OverflowError:
            return None
    pieces = text.split("-")
    if not 1 <= len(pieces) <= 3 or not all(piece.isascii() and piece.isdecimal() for piece in pieces):
        return None
    try:
        return _midnight(date(*_year_month_day(pieces)), now)
    except (ValueError, OverflowError):
        return None


def _year_month_day(pieces: Sequence[str]) -> tuple[int, int, int]:
    year, month, day = [*(int(piece) for piece in pieces), 1, 1][:3]
    if len(pieces[0]) != 4:
        raise ValueError(pieces[0])
    return year, month, day


def _midnight(day: date, now: datetime) -> datetime:
    moment = datetime.combine(day, time(), tzinfo=now.tzinfo)
    moment.timestamp()  # the first and the last year hold moments that no other clock can tell
    return moment
