"""What stands around every page: the rail of mailboxes and folders with their figures."""

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.preferences import preferences_of
from apps.accounts.principal import Principal
from apps.mailboxes.conversations import folder_counts
from apps.mailboxes.labels import labels_for
from apps.mailboxes.models import Folder, Mailbox, MailboxKind, SavedView
from apps.mailboxes.saved_views import views_for
from apps.mailboxes.selectors import visible_mailboxes
from apps.outbound.selectors import errors_for, refused_for, waiting_for
from apps.tickets.models import HeldState
from apps.tickets.selectors import held_for
from apps.webmail.commands import for_browser, in_groups
from apps.webmail.words import browser_words
from apps.writing.drafts import open_drafts

COUNTED = 1000
QUEUE_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class FolderLink:
    folder: Folder
    count: int


@dataclass(frozen=True, slots=True)
class ViewLink:
    """A search with a name. `saved` is the row of one that people made; nobody removes the others."""

    name: str
    query: str
    icon: str
    saved: SavedView | None = None


@dataclass(frozen=True, slots=True)
class MailboxLink:
    mailbox: Mailbox
    unread: int
    folders: list[FolderLink]
    views: list[ViewLink]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the rail the person is: a folder of a mailbox, or what a search finds there, or another page by name."""

    mailbox_id: uuid.UUID | None = None
    folder: Folder | None = None
    query: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True)
class QueueInShort:
    """How many recipients have not got their mail yet: those the Outbox lists, in their undo window or waiting for a
    person's decision too. And for how long the longest one has been due; 0 when none is."""

    depth: int
    oldest_due_seconds: float


@dataclass(frozen=True, slots=True)
class Rail:
    mailboxes: list[MailboxLink]
    place: Place
    errors: int
    drafts: int
    held: int
    queue: QueueInShort

    @property
    def view(self) -> ViewLink | None:
        """The named search that the person looks at."""
        views = (
            view for link in self.mailboxes if link.mailbox.pk == self.place.mailbox_id for view in link.views
        )
        return next((view for view in views if self.place.query and view.query == self.place.query), None)

    @property
    def waiting(self) -> int:
        """One figure for one thing: the Outbox, the queue and the page itself count the same recipients."""
        return self.queue.depth


def rail_of(principal: Principal, place: Place) -> Rail:
    """Seven queries, however many mailboxes there are."""
    counts = folder_counts(principal)
    saved: defaultdict[uuid.UUID, list[SavedView]] = defaultdict(list)
    for view in views_for(principal):
        saved[view.mailbox_id].append(view)
    links = []
    for mailbox in team_first(visible_mailboxes(principal)):
        own = counts.get(mailbox.pk, {})
        folders = [FolderLink(folder, own.get(folder, 0)) for folder in Folder]
        links.append(
            MailboxLink(mailbox, own.get(Folder.INBOX, 0), folders, _views(mailbox, saved[mailbox.pk]))
        )
    return Rail(
        mailboxes=links,
        place=place,
        errors=_counted(errors_for(principal)) + _counted(refused_for(principal)),
        drafts=_counted(open_drafts(principal)),
        held=_counted(held_for(principal).filter(state=HeldState.WAITING)),
        queue=_queue_in_short(principal, timezone.now()),
    )


def _views(mailbox: Mailbox, saved: Iterable[SavedView]) -> list[ViewLink]:
    """What everybody looks for, and what people have saved."""
    views = [ViewLink(_("Unread"), "is:unread", "mail"), ViewLink(_("Starred"), "is:starred", "star")]
    if mailbox.opens_tickets:
        views += [
            ViewLink(_("Assigned to me"), "assignee:me is:open", "user-round"),
            ViewLink(_("Nobody’s yet"), "assignee:none is:open", "user-plus"),
            ViewLink(_("Mentions"), "mentions:me", "at-sign"),
        ]
    return [*views, *(ViewLink(one.name, one.query, "list-filter", one) for one in saved)]


def _counted(rows: QuerySet[Any]) -> int:
    """How many, as far as a person would count."""
    return rows.order_by()[:COUNTED].count()


def _queue_in_short(principal: Principal, now: datetime) -> QueueInShort:
    """Not `queue_figures`: the rail stands on every page, and is fetched anew at every change. So it counts no further
    than `QUEUE_COUNTED`, from those that have waited longest."""
    in_queue = waiting_for(principal).select_related(None)
    found = in_queue[:QUEUE_COUNTED].aggregate(depth=Count("pk"), oldest=Min("due_at"))
    waited = (now - found["oldest"]).total_seconds() if found["oldest"] else 0.0
    return QueueInShort(found["depth"], max(0.0, waited))


def team_first(mailboxes: Iterable[Mailbox]) -> list[Mailbox]:
    """Shared mailboxes before personal ones: that is where customers wait."""
    return sorted(mailboxes, key=lambda mailbox: mailbox.kind != MailboxKind.SHARED)


def page_context(principal: Principal, place: Place, **more: Any) -> dict[str, Any]:
    """The context of a whole page."""
    return {
        "rail": rail_of(principal, place),
        "person": principal.user,
        "words": browser_words(),
        "commands": for_browser(preferences_of(principal)),
        "command_groups": in_groups(),
        "pane": "list",
        "labels": labels_for(principal) if place.mailbox_id else [],
        **more,
    }


def show_page(
    request: HttpRequest,
    principal: Principal,
    page: str,
    content: str = "",
    *,
    status: int = 200,
    **context: Any,
) -> HttpResponse:
    """One of the pages the rail names. Its content is the template of that name, or `content`'s for a page below it."""
    template = f"webmail/{content or page}.html"
    whole = page_context(principal, Place(page=page), content=template, pane="reading", **context)
    return render(request, "webmail/page.html", whole, status=status)
