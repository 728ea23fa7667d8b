"""A list of conversations as the pages show it: a folder's, or what a search finds in a mailbox.

A page takes a fixed number of queries: the conversations, and for all of them their tickets, their labels and until
when they are snoozed.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.accounts.principal import Principal
from apps.mailboxes.conversations import ConversationRow, Page, Position, conversations
from apps.mailboxes.labels import labels_by_thread
from apps.mailboxes.models import Folder, Label, LabelColour, Mailbox
from apps.mailboxes.models.handled import MAX_QUERY_CHARS
from apps.mailboxes.operators import Asked, Kind, read_query
from apps.mailboxes.snoozing import moments_of
from apps.tickets.finding import find_conversations
from apps.tickets.models import Ticket
from apps.tickets.selectors import tickets_by_thread
from apps.webmail.found_words import FoundWords
from apps.webmail.send_later import choices
from apps.webmail.templatetags.mail import people
from apps.webmail.understood import explain


@dataclass(frozen=True, slots=True)
class ListedRow:
    """One conversation with what stands beside it. In `who`, `subject` and `snippet` what was found is marked."""

    row: ConversationRow
    ticket: Ticket | None
    labels: list[Label]
    snoozed_until: datetime | None
    who: SafeString
    subject: SafeString
    snippet: SafeString


def query_in(request: HttpRequest) -> str:
    """The search in an address, or in a form that was filled from one."""
    asked: str = request.GET.get("q") or request.POST.get("q") or ""
    return asked.strip()[:MAX_QUERY_CHARS]


def asked_in(request: HttpRequest) -> Asked | None:
    """What it asks for, on the person's clock; None for a folder as it is."""
    query = query_in(request)
    return read_query(query, timezone.localtime()) if query else None


def list_context(
    request: HttpRequest, principal: Principal, mailbox: Mailbox, folder: Folder
) -> dict[str, Any]:
    """Everything that the templates of a list want."""
    context = rows_context(request, principal, mailbox, folder)
    asked = context["asked"]
    return context | {
        "understood": explain(asked) if asked is not None else None,
        "leaves_out": asked is not None and not asked.of(Kind.IN),
        "label_colours": LabelColour.choices,
        "colleagues": mailbox.members.filter(is_active=True).order_by("name"),
        "snooze_moments": choices(timezone.now()),
    }


def rows_context(
    request: HttpRequest, principal: Principal, mailbox: Mailbox, folder: Folder
) -> dict[str, Any]:
    """A page of rows, and where the next one begins."""
    query, asked = query_in(request), asked_in(request)
    before = position_in(request.GET.get("before", ""))
    if asked is None:
        page = conversations(mailbox, folder, before=before)
    else:
        page = find_conversations(principal, mailbox, asked, before=before)
    rows_url = reverse("webmail:rows", kwargs={"mailbox_id": mailbox.pk, "folder": folder})
    return {
        "mailbox": mailbox,
        "folder": folder,
        "query": query,
        "asked": asked,
        "rows": _listed(mailbox, page.rows, asked),
        "rows_url": f"{rows_url}?{urlencode({'q': query})}" if query else rows_url,
        "more_url": _more_url(rows_url, query, page),
    }


def _listed(mailbox: Mailbox, rows: list[ConversationRow], asked: Asked | None) -> list[ListedRow]:
    thread_ids = [row.thread_id for row in rows]
    tickets = tickets_by_thread(mailbox, thread_ids)
    labels = labels_by_thread(mailbox, thread_ids)
    snoozed = [row.thread_id for row in rows if row.entry.folder == Folder.SNOOZED]
    moments = moments_of(mailbox, snoozed) if snoozed else {}
    in_who = FoundWords.of(asked, Kind.WORDS, Kind.FROM, Kind.TO)
    in_subject = FoundWords.of(asked, Kind.WORDS, Kind.SUBJECT)
    in_text = FoundWords.of(asked, Kind.WORDS)
    return [
        ListedRow(
            row=row,
            ticket=tickets.get(row.thread_id),
            labels=labels.get(row.thread_id, []),
            snoozed_until=moments.get(row.thread_id),
            who=in_who.mark(people(row)),
            subject=in_subject.mark(row.subject),
            snippet=in_text.mark(_snippet(row, in_text)),
        )
        for row in rows
    ]


def _snippet(row: ConversationRow, found: FoundWords) -> str:
    """The beginning; of a search what stands around the first word found, where the text is short enough to be here."""
    return found.excerpt(row.latest.short_text, row.snippet) if found else row.snippet


def _more_url(rows_url: str, query: str, page: Page) -> str:
    if page.next is None:
        return ""
    before = f"{page.next.sorted_at.isoformat()}~{page.next.entry_id}"
    return f"{rows_url}?{urlencode({'before': before} | ({'q': query} if query else {}))}"


def position_in(text: str) -> Position | None:
    """Where the page before ended. A position nobody was given is no page of ours: 404."""
    if not text:
        return None
    try:
        sorted_at, _separator, entry_id = text.partition("~")
        moment = datetime.fromisoformat(sorted_at)
        if moment.tzinfo is None:
            raise Http404
        return Position(moment, uuid.UUID(entry_id))
    except ValueError as error:
        raise Http404 from error
