"""What stands around every page: the rail of mailboxes and folders with their figures."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest

from apps.accounts.principal import Principal
from apps.mailboxes.conversations import folder_counts
from apps.mailboxes.models import Folder, Mailbox
from apps.mailboxes.selectors import visible_mailboxes
from apps.outbound.selectors import QueueFigures, errors_for, queue_figures
from apps.webmail.words import browser_words

FOLDER_ICONS = {
    Folder.INBOX: "inbox",
    Folder.SENT: "check-check",
    Folder.OUTBOX: "send",
    Folder.ARCHIVE: "archive",
    Folder.SPAM: "shield-alert",
    Folder.TRASH: "trash-2",
}


@dataclass(frozen=True, slots=True)
class FolderLink:
    folder: Folder
    icon: str
    count: int


@dataclass(frozen=True, slots=True)
class MailboxLink:
    mailbox: Mailbox
    unread: int
    folders: list[FolderLink]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the rail the person is: a folder of a mailbox, or one of the other pages by its name."""

    mailbox_id: uuid.UUID | None = None
    folder: Folder | None = None
    page: str = ""


@dataclass(frozen=True, slots=True)
class Rail:
    mailboxes: list[MailboxLink]
    place: Place
    waiting: int
    errors: int
    queue: QueueFigures
    unread: int = field(default=0)


def rail_of(principal: Principal, place: Place) -> Rail:
    """Five queries or so, however many mailboxes there are."""
    counts = folder_counts(principal)
    links = []
    for mailbox in visible_mailboxes(principal):
        own = counts.get(mailbox.pk, {})
        folders = [FolderLink(folder, FOLDER_ICONS[folder], own.get(folder, 0)) for folder in Folder]
        links.append(MailboxLink(mailbox, own.get(Folder.INBOX, 0), folders))
    return Rail(
        mailboxes=links,
        place=place,
        waiting=sum(own.get(Folder.OUTBOX, 0) for own in counts.values()),
        errors=errors_for(principal).count(),
        queue=queue_figures(principal),
        unread=sum(link.unread for link in links),
    )


def page_context(request: HttpRequest, principal: Principal, place: Place, **more: Any) -> dict[str, Any]:
    """The context of a whole page."""
    return {
        "rail": rail_of(principal, place),
        "person": principal.user,
        "words": browser_words(),
        "pane": "list",
        **more,
    }
