"""Searches with a name, in the rail of a mailbox. A person keeps them for themselves or for all who see the mailbox."""

import uuid
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.utils.translation import gettext as _

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible, ViewInvalid
from apps.mailboxes.models import Mailbox, SavedView
from apps.mailboxes.models.handled import MAX_QUERY_CHARS, MAX_VIEW_CHARS
from apps.mailboxes.selectors import visible_mailboxes
from apps.mime.clean import clean_line

MAX_VIEWS = 50


def views_for(principal: Principal) -> QuerySet[SavedView]:
    """The caller's own views and the mailboxes', of the mailboxes the caller may see."""
    return SavedView.objects.filter(
        Q(owner=None) | Q(owner=principal.user),
        organisation=principal.organisation_id,
        mailbox__in=visible_mailboxes(principal).order_by(),
    )


def view_for(principal: Principal, view_id: uuid.UUID | str) -> SavedView:
    """One of them. Raises NotVisible."""
    try:
        return views_for(principal).get(pk=view_id)
    except (SavedView.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(view_id)) from error


def save_view(
    principal: Principal, mailbox: Mailbox, *, name: str, query: str, shared: bool, now: datetime
) -> SavedView:
    """Keep a search, after those that are kept already. Raises ViewInvalid."""
    name, query = _name(name), _query(query)
    kept = views_for(principal).filter(mailbox=mailbox)
    if kept.count() >= MAX_VIEWS:
        raise ViewInvalid("name", _("There are 50 views already: remove one first."))
    last = kept.aggregate(last=Max("position"))["last"]
    return SavedView.objects.create(
        organisation_id=mailbox.organisation_id,
        mailbox=mailbox,
        owner=None if shared else principal.user,
        name=name,
        query=query,
        position=0 if last is None else last + 1,
        created_at=now,
    )


def change_view(view: SavedView, *, name: str, query: str) -> SavedView:
    """Another name, another search. Raises ViewInvalid."""
    view.name, view.query = _name(name), _query(query)
    view.save(update_fields=["name", "query"])
    return view


@transaction.atomic
def move_view(principal: Principal, view: SavedView, *, up: bool) -> None:
    """One place up or down among those that the caller sees in its mailbox. A mailbox's views stand in one order for
    all who see it, and a person's own between them where that person put them."""
    kept = views_for(principal).filter(mailbox=view.mailbox_id)
    views = list(kept.select_for_update(of=("self",)))
    at = next((n for n, one in enumerate(views) if one.pk == view.pk), 0)
    to = max(0, min(len(views) - 1, at + (-1 if up else 1)))
    views.insert(to, views.pop(at))
    for position, one in enumerate(views):
        one.position = position
    SavedView.objects.bulk_update(views, ["position"])


def _name(text: str) -> str:
    name = clean_line(text).strip()
    if not name or len(name) > MAX_VIEW_CHARS:
        raise ViewInvalid("name", _("A view has a name of 1 to 60 characters."))
    return name


def _query(text: str) -> str:
    query = clean_line(text).strip()
    if not query or len(query) > MAX_QUERY_CHARS:
        raise ViewInvalid("query", _("A view keeps a search of at most 500 characters."))
    return query
