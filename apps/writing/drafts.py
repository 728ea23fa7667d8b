"""Drafts: saved every few seconds, found again on any device, gone with the mail they became.

    save      on top of the version its page knows; where another page has saved since, both are kept, and the
              page goes on with a draft of its own
    end       in the transaction that takes the mail (`sent`), or when it is thrown away (`discarded`)
    reopen    Undo; a draft that was sent is written on under another idempotency key

A crash before a save commits leaves the version before it, and what was typed since in the browser. A page that got no
answer says the same again, and that is no conflict: it is known by `editor` and `turn`.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Mailbox, Message
from apps.mailboxes.selectors import visible_mailboxes
from apps.mime.clean import clean_line, clean_text
from apps.mime.document import MAX_CHARS, DocumentInvalid, document_of
from apps.organisations.models import new_id
from apps.writing.errors import WritingInvalid
from apps.writing.models import Draft, DraftFile, DraftState

FIELDS = frozenset(
    {
        "from", "to", "cc", "bcc", "subject", "text", "idempotency_key", "quotes", "signs", "send_at_own",
        "cancel_if_replied",
    }
)  # fmt: skip
MAX_FIELD_CHARS = 1_000_000
MAX_OPEN = 1000
SNIPPET_CHARS = 200


@dataclass(frozen=True, slots=True)
class Typed:
    """What a page wants kept: fields by name, and the editor's document where it is no plain text."""

    fields: Mapping[str, str]
    document: Any = None
    version: int = 0
    editor: str = ""
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Saved:
    """The draft as it is kept. `beside` is the other one, where what was typed could not be saved on top of it."""

    draft: Draft
    beside: Draft | None = None


def drafts_for(principal: Principal) -> QuerySet[Draft]:
    """A person's own drafts in the mailboxes they still see; a program has none."""
    if principal.user is None:
        return Draft.objects.none()
    return Draft.objects.filter(
        organisation_id=principal.organisation_id,
        author=principal.user,
        mailbox__in=visible_mailboxes(principal).order_by(),
    )


def open_drafts(principal: Principal) -> QuerySet[Draft]:
    return drafts_for(principal).filter(state=DraftState.OPEN).order_by("-saved_at", "-id")


def draft_for(principal: Principal, draft_id: uuid.UUID | str) -> Draft:
    """One of the caller's drafts, in any state. Raises NotVisible."""
    try:
        return drafts_for(principal).select_related("mailbox").get(pk=draft_id)
    except (Draft.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(draft_id)) from error


def drafts_in(principal: Principal, mailbox: Mailbox, thread_id: uuid.UUID) -> list[Draft]:
    """The caller's open answers in a conversation, newest first."""
    found = open_drafts(principal).filter(mailbox=mailbox, thread=thread_id)
    return list(found.prefetch_related("files")[:5])


def save_draft(
    principal: Principal,
    draft_id: uuid.UUID,
    typed: Typed,
    *,
    mailbox: Mailbox,
    thread_id: uuid.UUID | None,
    now: datetime,
) -> Saved:
    """Keep what was typed. Raises NotVisible for a draft of somebody else's, and WritingInvalid."""
    checked = _checked(typed)
    page = Draft(mailbox=mailbox, thread_id=thread_id, saved_at=now, **checked)
    page.editor, page.turn, page.version = typed.editor, typed.turn, typed.version
    try:
        with transaction.atomic():
            return _save(principal, draft_id, page)
    except IntegrityError:
        # The same first save, twice at the same moment: the other one has made the row.
        with transaction.atomic():
            return _save(principal, draft_id, page)


def _save(principal: Principal, draft_id: uuid.UUID, page: Draft) -> Saved:
    """`page` is the draft as its page has it, which is no row."""
    row = Draft.objects.select_for_update(of=("self",)).filter(pk=draft_id).first()
    if row is None:
        return Saved(_new(principal, draft_id, page))
    draft_for(principal, draft_id)
    if row.editor == page.editor and page.turn <= row.turn:
        return Saved(row)  # overtaken by what the same page said later
    if row.fields == page.fields and row.document == page.document and row.state == DraftState.OPEN:
        return Saved(row)
    follows = page.version == row.version or row.editor == page.editor
    if not follows or row.state == DraftState.SENT:
        page.thread_id = row.thread_id
        copy = _new(principal, new_id(), page)
        _copy_files(row, copy)
        return Saved(copy, beside=row)
    for name in ("fields", "document", "snippet", "saved_at", "mailbox", "thread_id", "editor", "turn"):
        setattr(row, name, getattr(page, name))
    row.version += 1
    row.state, row.ended_at = DraftState.OPEN, None
    row.save()
    return Saved(row)


def _new(principal: Principal, draft_id: uuid.UUID, page: Draft) -> Draft:
    if principal.user is None:
        raise NotVisible(str(draft_id))
    if open_drafts(principal).count() >= MAX_OPEN:
        raise WritingInvalid("draft", _("You have a thousand drafts. Send or discard some first."))
    page.pk, page.version = draft_id, 1
    page.organisation_id, page.author, page.created_at = (
        principal.organisation_id,
        principal.user,
        page.saved_at,
    )
    page.save(force_insert=True)
    return page


def _copy_files(row: Draft, copy: Draft) -> None:
    """Whole ones: the same bytes under the same content ids, so that pictures stay where they are in the text."""
    DraftFile.objects.bulk_create(
        DraftFile(
            organisation_id=copy.organisation_id,
            draft=copy,
            filename=file.filename,
            content_type=file.content_type,
            size_bytes=file.size_bytes,
            received_bytes=file.size_bytes,
            content_id=file.content_id,
            blob_id=file.blob_id,
            created_at=copy.saved_at,
        )
        for file in row.files.filter(blob__isnull=False)
    )


def discard_draft(principal: Principal, draft: Draft, now: datetime) -> None:
    """Throw it away; it can be had back for a day."""
    drafts_for(principal).filter(pk=draft.pk, state=DraftState.OPEN).update(
        state=DraftState.DISCARDED, ended_at=now
    )


def end_with(principal: Principal, draft_id: uuid.UUID | str, message: Message, now: datetime) -> None:
    """It has become a message: in the transaction that writes that."""
    drafts_for(principal).filter(pk=draft_id).update(state=DraftState.SENT, message=message, ended_at=now)


@transaction.atomic
def reopen_draft(principal: Principal, draft: Draft, now: datetime) -> None:
    """Back to being written, after it was discarded or its message was taken back."""
    draft_for(principal, draft.pk)
    row = Draft.objects.select_for_update(of=("self",)).get(pk=draft.pk)
    if row.state == DraftState.OPEN:
        return
    # The key belongs to what was sent: the same words sent anew are another mail.
    row.fields = {name: value for name, value in row.fields.items() if name != "idempotency_key"}
    row.state, row.ended_at, row.message, row.saved_at = DraftState.OPEN, None, None, now
    row.version += 1
    row.save()


def draft_of_message(principal: Principal, message: Message) -> Draft | None:
    """What a message was written as, while that is still kept."""
    return drafts_for(principal).filter(message=message).first()


def _checked(typed: Typed) -> dict[str, Any]:
    """What of it is kept, by column. Raises WritingInvalid."""
    fields = {name: clean_text(value) for name, value in typed.fields.items() if name in FIELDS and value}
    if any(len(value) > MAX_FIELD_CHARS for value in fields.values()):
        raise WritingInvalid("text", _("This is too long to be kept."))
    if typed.document is None:
        return {"fields": fields, "document": None, "snippet": _snippet(fields.get("text", ""))}
    try:
        document = document_of(typed.document)
    except DocumentInvalid as error:
        raise WritingInvalid("document", str(error)) from error
    if len(json.dumps(document.tree, ensure_ascii=False)) > MAX_CHARS:
        raise WritingInvalid("text", _("This is too long to be kept."))
    return {"fields": fields, "document": document.tree, "snippet": _snippet(document.text)}


def _snippet(text: str) -> str:
    return clean_line(text, SNIPPET_CHARS)
