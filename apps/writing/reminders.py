"""What a person may have forgotten, said before the mail is taken: one keystroke goes on, another goes back.

    file         the text speaks of an attachment, and there is none
    newer        somebody wrote in the conversation after the page was drawn
    outside      an answer goes to somebody outside of the organisation who had no part in the conversation
    unfilled     a variable of a saved reply was left as it stands

A reminder is no refusal: nothing is kept of the attempt, and the same submission with the reminder's code among those
it goes ahead `despite` is taken. Nothing here sends or writes.

Limits: the words that speak of a file are those of `_FILE_WORDS`, looked for in what was written and not in what is
quoted. A colleague's answer that came while this one was on its way to the server is not seen.
"""

import re
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.mailboxes.addresses import look_up
from apps.mailboxes.conversations import REPORTS
from apps.mailboxes.models import Mailbox, MailboxEntry, Message
from apps.mime.address import comparable_address, parse_addresses
from apps.outbound.models import DeliveryState
from apps.writing.phrases import VARIABLE

# Beginnings of words, in the languages that people write to us in. Long enough to mean a file and nothing else.
_FILE_WORDS = (
    "attach", "enclosed", "anhang", "anhäng", "angehängt", "beigefügt", "anbei", "beiliegend", "pièce jointe",
    "pièces jointes", "ci-joint", "en annexe", "adjunt", "anexo", "anexa", "allegat", "bijlage", "bijgevoegd",
    "bifoga", "bilaga", "vedlagt", "vedhæft", "vedlegg", "liitte", "załącz", "příloh", "прикреп", "вложен",
    "ektedir", "ekli dosya",
)  # fmt: skip
# These scripts put no blanks between words.
_FILE_SIGNS = ("附件", "添付", "첨부")
_SPEAKS_OF_FILES = re.compile(rf"\b(?:{'|'.join(_FILE_WORDS)})|{'|'.join(_FILE_SIGNS)}", re.IGNORECASE)
_LOOKED_AT_CHARS = 100_000
_LOOKED_AT_MESSAGES = 200
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Reminder:
    """`code` is what one goes ahead despite of."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class AboutToBeSent:
    """What reminders are made from. An answer has a `mailbox` and a `thread_id`; `seen` is the newest message of it
    that the page showed."""

    text: str
    recipients: Sequence[str]
    has_files: bool
    mailbox: Mailbox | None = None
    thread_id: uuid.UUID | None = None
    seen: str = ""


def reminders_for(mail: AboutToBeSent, despite: Collection[str]) -> list[Reminder]:
    """What is worth a word, but for what the person has decided already."""
    told = [_file(mail), _unfilled(mail)]
    if mail.mailbox is not None and mail.thread_id is not None:
        told += [
            _newer(mail.mailbox, mail.thread_id, mail.seen),
            _outside(mail.mailbox, mail.thread_id, mail.recipients),
        ]
    return [one for one in told if one is not None and one.code not in despite]


def _file(mail: AboutToBeSent) -> Reminder | None:
    if mail.has_files or not _SPEAKS_OF_FILES.search(mail.text[:_LOOKED_AT_CHARS]):
        return None
    return Reminder("file", _("You speak of an attachment, and there is none."))


def _unfilled(mail: AboutToBeSent) -> Reminder | None:
    found = VARIABLE.search(mail.text)
    return Reminder("unfilled", _("%(what)s is not filled in.") % {"what": found[0]}) if found else None


def _newer(mailbox: Mailbox, thread_id: uuid.UUID, seen: str) -> Reminder | None:
    """The newest message of the conversation is not the one that the page showed as that."""
    if not seen:
        return None
    said = (
        Message.objects.filter(pk__in=_lying_in(mailbox, thread_id))
        .exclude(state=DeliveryState.CANCELLED)
        .exclude(kind__in=REPORTS)
        .select_related("author")
        .order_by("-received_at", "-id")
    )
    newest = said.first()
    shown = said.filter(pk=seen).first() if _is_id(seen) else None
    if newest is None or shown is None or newest.received_at <= shown.received_at:
        return None
    who = newest.author.name if newest.author else newest.sender_name or newest.sender_address
    return Reminder("newer", _("%(who)s wrote in this conversation while you did.") % {"who": who[:100]})


def _is_id(seen: str) -> bool:
    try:
        uuid.UUID(seen)
    except ValueError:
        return False
    return True


def _outside(mailbox: Mailbox, thread_id: uuid.UUID, recipients: Sequence[str]) -> Reminder | None:
    asked = {
        comparable_address(one.address): one.name or one.address
        for written in recipients
        for one in parse_addresses(written)
    }
    unknown = asked.keys() - _part_of(mailbox, thread_id)
    if not unknown:
        return None
    ours = look_up(mailbox.organisation_id, unknown)
    outside = sorted(asked[one] for one in unknown if not ours.has_domain_of(one))
    if not outside:
        return None
    named = ", ".join(outside[:_NAMED]) + (" …" if len(outside) > _NAMED else "")
    return Reminder(
        "outside", _("Not part of this conversation so far, and outside: %(who)s") % {"who": named}
    )


def _lying_in(mailbox: Mailbox, thread_id: uuid.UUID) -> QuerySet[Any]:
    """The newest of the conversation, as far as this mailbox shows it."""
    entries = MailboxEntry.objects.filter(mailbox=mailbox, thread=thread_id)
    return entries.order_by("-sorted_at").values("message")[:_LOOKED_AT_MESSAGES]


def _part_of(mailbox: Mailbox, thread_id: uuid.UUID) -> set[str]:
    """Everybody who wrote or was written to."""
    rows = Message.objects.filter(pk__in=_lying_in(mailbox, thread_id))
    addresses: set[str] = set()
    for sender, *fields in rows.values_list("sender_address", "to", "cc", "bcc", "reply_to"):
        addresses |= {sender, *(one["address"] for people in fields for one in people)}
    return {comparable_address(one) for one in addresses if one}
