"""What a message holds besides its text, as the page shows it: files, messages within it, an invitation, and what is to
be said of a message that cannot be read here.

Files within a forwarded message stand with that message; those of a winmail.dat stand with the message's own, because
that is where their writer had put them.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.mailboxes.attachments import files_of, is_shown, may_be_packed
from apps.mailboxes.models import Direction, Message, Part
from apps.mime.protection import PGP_ENCRYPTED, PGP_SIGNED, SMIME_ENCRYPTED, SMIME_SIGNED
from apps.mime.unwrap import EXTERNAL_BODY, PARTIAL_MESSAGE
from apps.reading.invitations import can_be_answered
from apps.webmail.content_tokens import ContentKind
from apps.webmail.files import Files, Link, show_files

REMARKS = {
    SMIME_ENCRYPTED: gettext_lazy(
        "Encrypted with S/MIME: it cannot be read here. The encrypted mail is attached."
    ),
    PGP_ENCRYPTED: gettext_lazy(
        "Encrypted with PGP: it cannot be read here. The encrypted text is attached."
    ),
    SMIME_SIGNED: gettext_lazy("Signed with S/MIME. The signature is kept, and was not checked."),
    PGP_SIGNED: gettext_lazy("Signed with PGP. The signature is kept, and was not checked."),
    PARTIAL_MESSAGE: gettext_lazy("One piece of a mail that was sent in several. The piece is attached."),
    EXTERNAL_BODY: gettext_lazy(
        "Something in it lies elsewhere. It was not fetched; where it lies is attached."
    ),
}
_METHODS = {
    "REQUEST": gettext_lazy("Invitation"),
    "CANCEL": gettext_lazy("Cancelled"),
    "REPLY": gettext_lazy("Answer to an invitation"),
    "COUNTER": gettext_lazy("Another time is proposed"),
    "PUBLISH": gettext_lazy("Event"),
}
_ANSWERS = {
    "ACCEPTED": gettext_lazy("accepts"),
    "DECLINED": gettext_lazy("declines"),
    "TENTATIVE": gettext_lazy("may come"),
}


@dataclass(frozen=True, slots=True)
class ShownEnclosed:
    """A message within the message. `frame_url` is its body, `file_url` its very bytes."""

    n: int
    writer: str
    subject: str
    at: datetime | None
    snippet: str
    frame_url: str
    file_url: str
    files: Files


@dataclass(frozen=True, slots=True)
class ShownInvitation:
    heading: str
    summary: str
    when: str
    where: str
    organiser: str
    people: str
    is_off: bool
    can_be_answered: bool


@dataclass(slots=True)
class Within:
    """Everything of it."""

    files: Files = field(default_factory=Files)
    enclosed: list[ShownEnclosed] = field(default_factory=list)
    invitation: ShownInvitation | None = None
    remarks: list[str] = field(default_factory=list)


def show_within(message: Message, link: Link) -> Within:
    """What `message` holds. `link` makes the address of one of its parts on the content origin."""
    contents = message.contents
    enclosed = {one["n"]: one for one in contents.get("enclosed", [])}
    files: defaultdict[int, list[Part]] = defaultdict(list)
    parts = list(message.parts.all())
    for part in parts:
        if not is_shown(part) and part.n not in enclosed:
            files[_stands_with(part, parts, enclosed)].append(part)
    of_all = len(files_of(message))
    return Within(
        files=show_files(files[0], link, packed=of_all if of_all > 1 and may_be_packed(message) else 0),
        enclosed=[_enclosed(one, files[n], link) for n, one in enclosed.items()],
        invitation=_invitation(contents["invitation"], message) if contents.get("invitation") else None,
        remarks=[str(REMARKS[code]) for code in contents.get("remarks", []) if code in REMARKS],
    )


def _stands_with(part: Part, parts: list[Part], enclosed: Mapping[int, object]) -> int:
    """The enclosed message that a part belongs to, 0 for the message itself."""
    within = part.within
    while within and within not in enclosed:
        within = parts[within - 1].within if within <= len(parts) else 0
    return within


def _enclosed(one: dict[str, Any], parts: list[Part], link: Link) -> ShownEnclosed:
    return ShownEnclosed(
        n=one["n"],
        writer=_person(one["from"]) or _("Unknown sender"),
        subject=one["subject"] or _("No subject"),
        at=datetime.fromisoformat(one["date"]) if one["date"] else None,
        snippet=one["snippet"],
        frame_url=link(ContentKind.ENCLOSED, one["n"]),
        file_url=link(ContentKind.ATTACHMENT, one["n"]),
        files=show_files(parts, link),
    )


def _invitation(one: dict[str, Any], message: Message) -> ShownInvitation:
    method = one["method"]
    people = [_person(person) for person in one["people"]]
    if method == "REPLY" and people and one["answer"] in _ANSWERS:
        who = f"{people[0]} {_ANSWERS[one['answer']]}"
    else:
        rest = one["people_count"] - len(people)
        who = ", ".join([*people, *([_("%(count)d more") % {"count": rest}] if rest > 0 else [])])
    return ShownInvitation(
        heading=str(_METHODS.get(method, _("Event"))),
        summary=one["summary"] or _("Without a title"),
        when=_when(one),
        where=one["location"],
        organiser=_person(one["organiser"]) if one["organiser"] else "",
        people=who,
        is_off=method == "CANCEL",
        can_be_answered=message.direction != Direction.OUT and can_be_answered(message),
    )


def _when(one: dict[str, Any]) -> str:
    """In the time zone of the event, which is named: whoever reads it may be in another."""
    if not one["starts"]:
        return ""
    starts, ends = _moment(one["starts"]), _moment(one["ends"]) if one["ends"] else None
    text = _moment_words(starts)
    if ends is not None and ends != starts:
        same_day = (
            isinstance(starts, datetime) and isinstance(ends, datetime) and starts.date() == ends.date()
        )
        text += f"–{date_format(ends, 'TIME_FORMAT') if same_day else _moment_words(ends)}"
    if isinstance(starts, datetime):
        zone = one["time_zone"] or (starts.tzname() if starts.tzinfo else "")
        text += f" ({zone})" if zone else ""
    if one["repeats"]:
        text += f", {_('and again')}"
    return text


def _moment(text: str) -> date | datetime:
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


def _moment_words(value: date | datetime) -> str:
    day = f"{date_format(value, 'D')}, {date_format(value, 'DATE_FORMAT')}"
    return f"{day}, {date_format(value, 'TIME_FORMAT')}" if isinstance(value, datetime) else day


def _person(one: dict[str, str]) -> str:
    return one["name"] or one["address"]
