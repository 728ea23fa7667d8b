"""What was understood of a search, in a few words for each clause; and what was not, in a sentence."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from apps.mailboxes.models import Folder
from apps.mailboxes.operators import (
    ANYWHERE,
    ATTACHMENT,
    PLACES,
    STATES,
    Asked,
    Clause,
    Kind,
    Remark,
    RemarkCode,
)


@dataclass(frozen=True, slots=True)
class Understood:
    """Beneath the search. A search of plain words alone needs no explanation: `clauses` is empty then."""

    clauses: tuple[str, ...]
    remarks: tuple[str, ...]


def explain(asked: Asked) -> Understood:
    plain = all(one.kind == Kind.WORDS and not one.negated and not one.quoted for one in asked.clauses)
    clauses = () if plain else tuple(map(_clause, asked.clauses))
    return Understood(clauses, tuple(dict.fromkeys(map(_remark, asked.remarks))))


def _clause(clause: Clause) -> str:
    said = _SAID.get(clause.kind)
    words = said(clause) if said is not None else clause.value
    return _("not: %(what)s") % {"what": words} if clause.negated else words


def _state(clause: Clause) -> str:
    return {
        "unread": _("unread"),
        "read": _("read"),
        "starred": _("starred"),
        "snoozed": _("snoozed"),
        "open": _("open ticket"),
        "pending": _("waiting for the customer"),
        "solved": _("solved"),
    }[clause.value]


def _day(clause: Clause) -> str:
    day = date_format(clause.at, "j M Y") if clause.at else clause.value
    return (_("before %(day)s") if clause.kind == Kind.BEFORE else _("since %(day)s")) % {"day": day}


def _place(clause: Clause) -> str:
    if clause.value == ANYWHERE:
        return _("in every folder")
    return _("in %(folder)s") % {"folder": Folder(clause.value).label}


def _has(clause: Clause) -> str:
    if clause.value == ATTACHMENT:
        return _("with files")
    return _("with a %(kind)s file") % {"kind": clause.value}


_SAID: Mapping[Kind, Callable[[Clause], str]] = {
    Kind.WORDS: lambda one: f"“{one.value}”",
    Kind.NUMBER: lambda one: _("ticket #%(number)s") % {"number": one.value},
    Kind.FROM: lambda one: _("from %(who)s") % {"who": one.value},
    Kind.TO: lambda one: _("to %(who)s") % {"who": one.value},
    Kind.SUBJECT: lambda one: _("subject has %(words)s") % {"words": one.value},
    Kind.HAS: _has,
    Kind.BEFORE: _day,
    Kind.AFTER: _day,
    Kind.IS: _state,
    Kind.IN: _place,
    Kind.ASSIGNEE: lambda one: _("assigned to %(who)s") % {"who": one.value},
    Kind.MENTIONS: lambda one: _("mentions %(who)s") % {"who": one.value},
    Kind.LABEL: lambda one: _("labelled %(name)s") % {"name": one.value},
}


def _remark(remark: Remark) -> str:
    said = {"said": remark.said}
    if remark.code == RemarkCode.UNKNOWN_OPERATOR:
        return _("“%(said)s” is no operator here, so it is searched for as words.") % said
    if remark.code == RemarkCode.NO_VALUE:
        return _("“%(said)s” waits for a word right after the colon.") % said
    if remark.code == RemarkCode.NO_STATE:
        return _("“%(said)s” says nothing here. There is is: with %(known)s.") % {
            **said,
            "known": ", ".join(STATES),
        }
    if remark.code == RemarkCode.NO_PLACE:
        return _("“%(said)s” is no folder here. There is in: with %(known)s.") % {
            **said,
            "known": ", ".join(PLACES),
        }
    if remark.code == RemarkCode.NO_DAY:
        return _("“%(said)s” is no day. Write it like 2026-03-31, 2026-03, yesterday or 7d.") % said
    return _("That is a lot at once: the search was read up to “%(said)s”.") % said
