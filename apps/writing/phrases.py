"""Signatures, and texts that are written often.

Whoever reads a mailbox may change its signature and its saved replies, as they may write in its name. A person's own
signature in a mailbox goes before the mailbox's.

Variables stand as `{{customer.name}}`; what a conversation cannot tell stays as it is, so that the writer sees it, and
is asked about when it is about to be sent (`reminders.py`).
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Mailbox, Message
from apps.mailboxes.selectors import visible_mailboxes
from apps.mime.clean import clean_line
from apps.mime.document import Document, DocumentInvalid, document_of
from apps.tickets.models import Ticket
from apps.writing.errors import WritingInvalid
from apps.writing.models import SavedReply, Signature

SNIPPET_CHARS = 200
MAX_NAME_CHARS = 100
MAX_SAVED = 500
VARIABLE = re.compile(r"\{\{\s*([a-z_]+\.[a-z_]+)\s*\}\}")
VARIABLES = (
    "customer.name",
    "customer.first_name",
    "customer.address",
    "ticket.number",
    "ticket.subject",
    "agent.name",
    "agent.first_name",
    "mailbox.name",
    "mailbox.address",
)


@dataclass(frozen=True, slots=True)
class Signatures:
    """Those one may choose from in a mailbox; the first is what a mail gets unless somebody says otherwise."""

    own: Signature | None
    of_mailbox: Signature | None

    @property
    def chosen(self) -> Signature | None:
        return self.own or self.of_mailbox


def signatures_in(principal: Principal, mailboxes: Sequence[Mailbox]) -> dict[uuid.UUID, Signatures]:
    """By mailbox, for mailboxes the caller was given, in one query."""
    rows = list(Signature.objects.filter(Q(person=None) | Q(person=principal.user), mailbox__in=mailboxes))
    own = {row.mailbox_id: row for row in rows if row.person_id is not None}
    general = {row.mailbox_id: row for row in rows if row.person_id is None}
    return {one.pk: Signatures(own.get(one.pk), general.get(one.pk)) for one in mailboxes}


def signature_for(principal: Principal, signature_id: uuid.UUID | str) -> Signature:
    """One that the caller may sign with. Raises NotVisible."""
    mine = Q(person=None) | Q(person=principal.user)
    visible = Signature.objects.filter(mine, mailbox__in=visible_mailboxes(principal).order_by())
    try:
        return visible.get(pk=signature_id)
    except (Signature.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(signature_id)) from error


def keep_signature(
    principal: Principal, mailbox: Mailbox, document: Any, *, is_own: bool, now: datetime
) -> Signature | None:
    """Keep it, or take it away where nothing stands in it. Raises WritingInvalid."""
    checked = _checked(document)
    person = principal.user if is_own else None
    if checked.is_empty:
        Signature.objects.filter(mailbox=mailbox, person=person).delete()
        return None
    row, _created = Signature.objects.update_or_create(
        mailbox=mailbox,
        person=person,
        defaults={"document": checked.tree, "changed_at": now, "organisation_id": mailbox.organisation_id},
    )
    return row


def saved_replies(principal: Principal, mailbox: Mailbox | None = None) -> QuerySet[SavedReply]:
    """Those one may use: everywhere, or in a mailbox one sees."""
    rows = SavedReply.objects.filter(organisation_id=principal.organisation_id).select_related("mailbox")
    if mailbox is not None:
        return rows.filter(Q(mailbox=None) | Q(mailbox=mailbox))
    return rows.filter(Q(mailbox=None) | Q(mailbox__in=visible_mailboxes(principal).order_by()))


def saved_reply_for(principal: Principal, reply_id: uuid.UUID | str) -> SavedReply:
    """Raises NotVisible."""
    try:
        return saved_replies(principal).get(pk=reply_id)
    except (SavedReply.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(reply_id)) from error


def keep_saved_reply(
    principal: Principal,
    *,
    name: str,
    document: Any,
    mailbox: Mailbox | None,
    row: SavedReply | None,
    now: datetime,
) -> SavedReply:
    """A new one, or another text for `row`. Raises WritingInvalid."""
    name, checked = clean_line(name), _checked(document)
    if not name or len(name) > MAX_NAME_CHARS:
        raise WritingInvalid(
            "name", _("Give it a name of at most %(count)s characters.") % {"count": MAX_NAME_CHARS}
        )
    if checked.is_empty:
        raise WritingInvalid("document", _("Write something first."))
    if row is None:
        if saved_replies(principal).count() >= MAX_SAVED:
            raise WritingInvalid("name", _("There are %(count)s already.") % {"count": MAX_SAVED})
        row = SavedReply(organisation_id=principal.organisation_id)
    row.name, row.mailbox, row.document, row.changed_at = name, mailbox, checked.tree, now
    row.snippet = clean_line(checked.text, SNIPPET_CHARS)
    row.save()
    return row


def _checked(document: Any) -> Document:
    try:
        checked = document_of(document)
    except DocumentInvalid as error:
        raise WritingInvalid("document", str(error)) from error
    if checked.pictures:
        raise WritingInvalid("document", _("Pictures cannot be kept here yet."))
    return checked


def values_for(
    principal: Principal, mailbox: Mailbox, *, ticket: Ticket | None = None, answered: Message | None = None
) -> dict[str, str]:
    """What variables stand for in a conversation; those it cannot tell are missing."""
    customer_name = ticket.requester_name if ticket else answered.sender_name if answered else ""
    address = ticket.requester_address if ticket else answered.sender_address if answered else ""
    agent = principal.user.name if principal.user else ""
    found = {
        "customer.name": customer_name or address,
        "customer.first_name": _first(customer_name),
        "customer.address": address,
        "ticket.number": str(ticket.number) if ticket else "",
        "ticket.subject": ticket.subject if ticket else answered.subject if answered else "",
        "agent.name": agent,
        "agent.first_name": _first(agent),
        "mailbox.name": mailbox.name,
        "mailbox.address": mailbox.address,
    }
    return {name: clean_line(value, 200) for name, value in found.items() if value}


def filled(tree: Any, values: Mapping[str, str]) -> Any:
    """A checked document with its variables filled in."""
    if isinstance(tree, list):
        return [filled(one, values) for one in tree]
    if not isinstance(tree, dict):
        return tree
    if tree.get("type") == "text":
        return tree | {"text": VARIABLE.sub(lambda found: values.get(found[1], found[0]), tree["text"])}
    return tree | {"content": filled(tree.get("content", []), values)}


def _first(name: str) -> str:
    """The given name: "Marsh, Elena" and "Elena Marsh" are one person. A name of one word is that word."""
    last, comma, given = name.partition(",")
    words = (given if comma else last).split()
    return words[0] if words else ""
