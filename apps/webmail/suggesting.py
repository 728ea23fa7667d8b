"""What the piece of a search that is being typed may become: people, labels, colleagues, and what an operator takes.

The operators themselves are in the page already (search_help.html), so that they show without a server. People are
taken from the newest mail of the mailbox: the same price in every mailbox, and those one looks for.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from apps.accounts.principal import Principal
from apps.mailboxes.labels import labels_for
from apps.mailboxes.models import Mailbox, MailboxEntry, Side
from apps.mailboxes.operators import OPERATORS, PLACES, STATES, Kind
from apps.mailboxes.search import fold, terms_of

LOOKED_THROUGH = 1_000
OFFERED = 8
_FILES = ("attachment", "pdf", "docx", "xlsx", "png", "jpg", "zip", "csv")
_PEOPLE = frozenset({Kind.FROM, Kind.TO})


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`insert` takes the place of the piece; `kind` chooses the icon."""

    insert: str
    label: str
    detail: str = ""
    kind: str = "operator"


def suggest(principal: Principal, mailbox: Mailbox, piece: str) -> list[Suggestion]:
    """For `from:el`, `label:`, `el`; with a `-` before it, too. Nothing for an operator that takes a day or words."""
    sign = "-" if piece.startswith("-") else ""
    operator, colon, typed = piece[len(sign) :].partition(":")
    kind = OPERATORS.get(operator.lower()) if colon else None
    typed = (typed if kind else piece[len(sign) :]).strip('"')
    if colon and kind is None:
        return []
    if kind is None:
        found = [
            *_people(mailbox, Kind.FROM, "from", typed, few=True),
            *_labels(principal, "label", typed, few=True),
        ]
    else:
        found = list(_for_operator(principal, mailbox, kind, operator, typed))
    return [Suggestion(sign + one.insert, one.label, one.detail, one.kind) for one in found[:OFFERED]]


def _for_operator(
    principal: Principal, mailbox: Mailbox, kind: Kind, operator: str, typed: str
) -> Iterable[Suggestion]:
    if kind in _PEOPLE:
        return _people(mailbox, kind, operator, typed)
    if kind == Kind.LABEL:
        return _labels(principal, operator, typed)
    if kind in {Kind.ASSIGNEE, Kind.MENTIONS}:
        return _colleagues(mailbox, kind, operator, typed)
    choices = {Kind.IS: STATES, Kind.IN: PLACES, Kind.HAS: _FILES}.get(kind, ())
    return [
        Suggestion(f"{operator}:{one}", f"{operator}:{one}") for one in choices if one.startswith(fold(typed))
    ]


def _people(
    mailbox: Mailbox, kind: Kind, operator: str, typed: str, *, few: bool = False
) -> list[Suggestion]:
    wanted = terms_of(typed)
    if few and not wanted:
        return []
    side = Side.SENDER if kind == Kind.TO else Side.RECIPIENT
    newest = MailboxEntry.objects.filter(mailbox=mailbox).order_by("-sorted_at", "-id")
    rows = newest.values_list("side", "message__sender_name", "message__sender_address", "message__to")[
        :LOOKED_THROUGH
    ]
    found: dict[str, str] = {}
    for row_side, name, address, recipients in rows:
        if row_side == side:
            people = (
                [(one["name"], one["address"]) for one in recipients]
                if kind == Kind.TO
                else [(name, address)]
            )
            for one_name, one_address in people:
                if one_address and _fits(f"{one_name} {one_address}", wanted):
                    found.setdefault(one_address.lower(), one_name)
        if len(found) >= (3 if few else OFFERED):
            break
    return [
        Suggestion(f"{operator}:{address}", name or address, address if name else "", "person")
        for address, name in found.items()
    ]


def _fits(text: str, wanted: list[str]) -> bool:
    words = terms_of(text)
    return all(any(word.startswith(one) for word in words) for one in wanted)


def _labels(principal: Principal, operator: str, typed: str, *, few: bool = False) -> list[Suggestion]:
    wanted = fold(typed)
    if few and not wanted:
        return []
    return [
        Suggestion(f"{operator}:{one.as_value}", one.name, _("Label"), f"label {one.colour}")
        for one in labels_for(principal)
        if wanted in one.key
    ][: 3 if few else OFFERED]


def _colleagues(mailbox: Mailbox, kind: Kind, operator: str, typed: str) -> list[Suggestion]:
    people = mailbox.members.filter(is_active=True).order_by("name")
    named = [("me", _("Me")), *([("none", _("Nobody"))] if kind == Kind.ASSIGNEE else [])]
    named += [(one.email, one.name) for one in people]
    wanted = fold(typed)
    return [
        Suggestion(f"{operator}:{value}", name, value if "@" in value else "", "person")
        for value, name in named
        if wanted in fold(f"{value} {name}")
    ]
