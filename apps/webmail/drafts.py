"""A draft as the composer knows it, and what stands in the composer before anything is typed."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Mailbox, Message, Thread
from apps.tickets.selectors import ticket_of
from apps.writing.drafts import draft_for, drafts_in
from apps.writing.models import Draft, DraftFile, DraftState, Signature
from apps.writing.phrases import Signatures, signatures_in
from apps.writing.quoting import attribution_of


@dataclass(frozen=True, slots=True)
class Sender:
    """A mailbox to write from, and the signature that goes with it."""

    mailbox: Mailbox
    signatures: Signatures

    @property
    def signature(self) -> Signature | None:
        return self.signatures.chosen


def with_signatures(principal: Principal, mailboxes: Sequence[Mailbox]) -> list[Sender]:
    found = signatures_in(principal, mailboxes)
    return [Sender(one, found[one.pk]) for one in mailboxes]


def open_draft_for(principal: Principal, draft_id: uuid.UUID | str) -> Draft:
    """Raises NotVisible, also for what was sent or discarded."""
    draft = draft_for(principal, draft_id)
    if draft.state != DraftState.OPEN:
        raise NotVisible(str(draft_id))
    return draft


def draft_told(draft: Draft) -> dict[str, Any]:
    """As the composer reads it."""
    return {
        "id": str(draft.pk),
        "version": draft.version,
        "saved_at": draft.saved_at.isoformat(),
        "fields": draft.fields,
        "document": draft.document,
        "files": [file_told(file) for file in draft.files.all()],
        "url": draft_url(draft),
    }


def file_told(file: DraftFile) -> dict[str, Any]:
    return {
        "id": str(file.pk),
        "filename": file.filename,
        "size_bytes": file.size_bytes,
        "received_bytes": file.received_bytes,
        "is_whole": file.is_whole,
        "content_id": file.content_id,
        "url": reverse("webmail:draft-file", kwargs={"draft_id": file.draft_id, "file_id": file.pk}),
    }


def draft_url(draft: Draft) -> str:
    """Where it is written on."""
    if draft.thread_id is None:
        return f"{reverse('webmail:compose')}?draft={draft.pk}"
    where = {"mailbox_id": draft.mailbox_id, "folder": "inbox", "thread_id": draft.thread_id}
    return reverse("webmail:conversation", kwargs=where)


@dataclass(frozen=True, slots=True)
class AnswerBegun:
    """What the answer's form of a conversation begins with: the newest draft of it, and how many others there are."""

    sender: Sender
    attribution: str
    draft: dict[str, Any] | None
    others: int


def answer_begun(
    principal: Principal, mailbox: Mailbox, thread_id: uuid.UUID, answers: Message
) -> AnswerBegun:
    drafts = drafts_in(principal, mailbox, thread_id)
    return AnswerBegun(
        sender=with_signatures(principal, [mailbox])[0],
        attribution=attribution_of(answers),
        draft=draft_told(drafts[0]) if drafts else None,
        others=max(0, len(drafts) - 1),
    )


def thread_of(principal: Principal, mailbox: Mailbox, thread_id: str) -> uuid.UUID | None:
    """The conversation an answer is written in, where the mailbox has something of it; of one that was merged while
    somebody wrote, the one it went into. Raises NotVisible."""
    if not thread_id:
        return None
    try:
        wanted = uuid.UUID(thread_id)
    except ValueError as error:
        raise NotVisible(thread_id) from error
    lies = Thread.objects.filter(
        pk=wanted, organisation_id=principal.organisation_id, entries__mailbox=mailbox
    )
    if lies.exists():
        return wanted
    ticket = ticket_of(mailbox, wanted)
    if ticket is None or ticket.merged_into is None:
        raise NotVisible(thread_id)
    return thread_of(principal, mailbox, str(ticket.merged_into.thread_id))
