"""The labels of an organisation, and on which conversations of a mailbox they are.

Whoever may see a mailbox labels its conversations, and makes a label while doing so. A label's name is the
organisation's: changed or deleted, it is for everybody, so only an admin does that.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from apps.accounts.errors import AdminsOnly
from apps.accounts.principal import Principal
from apps.events.notices import announce
from apps.events.services import publish
from apps.mailboxes.errors import LabelInvalid, NotVisible
from apps.mailboxes.models import ConversationLabel, Label, LabelColour, Mailbox, SavedView
from apps.mailboxes.models.handled import MAX_KEY_CHARS, MAX_LABEL_CHARS, MAX_QUERY_CHARS
from apps.mailboxes.operators import with_label_renamed
from apps.mailboxes.search import fold
from apps.mailboxes.selectors import visible_mailboxes
from apps.mime.clean import clean_line

MAX_LABELS = 500


def labels_for(principal: Principal) -> list[Label]:
    """All of the organisation's, by name."""
    return list(Label.objects.filter(organisation=principal.organisation_id))


def label_for(principal: Principal, label_id: uuid.UUID | str) -> Label:
    """One of the organisation's. Raises NotVisible."""
    try:
        return Label.objects.get(pk=label_id, organisation=principal.organisation_id)
    except (Label.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(label_id)) from error


def label_counts(principal: Principal) -> dict[uuid.UUID, int]:
    """On how many conversations each label is: of all mailboxes for an admin, who may delete it; of those the caller
    sees for others. A conversation in two mailboxes counts in each. Labels that are on none are absent."""
    rows = ConversationLabel.objects.filter(label__organisation=principal.organisation_id)
    if not principal.is_admin:
        rows = rows.filter(mailbox__in=visible_mailboxes(principal).order_by())
    return dict(rows.values_list("label").annotate(n=Count("pk")).order_by())


@transaction.atomic
def create_label(principal: Principal, name: str, colour: str = "") -> Label:
    """A new label, or the one of this name that is there already. Raises LabelInvalid."""
    name, colour = _name(name), _colour(colour)
    known = Label.objects.filter(organisation=principal.organisation_id)
    label = known.filter(key=fold(name)).first()
    if label is not None:
        return label
    if known.count() >= MAX_LABELS:
        raise LabelInvalid("name", _("There are 500 labels already: delete one first."))
    # Colours in turn, so that labels made without thinking of it can be told apart.
    in_turn = LabelColour.values[1 + known.count() % (len(LabelColour) - 1)]
    try:
        with transaction.atomic():
            label = Label.objects.create(
                organisation_id=principal.organisation_id, name=name, key=fold(name), colour=colour or in_turn
            )
    except IntegrityError:
        return known.get(key=fold(name))
    _tell(principal, label, "label.created")
    return label


@transaction.atomic
def change_label(
    principal: Principal, label: Label, *, name: str | None = None, colour: str | None = None
) -> Label:
    """Another name or colour; what is None stays. Raises AdminsOnly, and LabelInvalid for a name that is taken.

    Saved views that ask for it by its old name ask for it by the new one from the same moment. A search in somebody's
    bookmarks is nobody's to change.
    """
    _demand_admin(principal)
    label = Label.objects.select_for_update(no_key=True).get(pk=label.pk)
    name = label.name if name is None else _name(name)
    colour = _colour(colour or "") or label.colour
    same_name = Label.objects.filter(organisation=label.organisation_id, key=fold(name)).exclude(pk=label.pk)
    taken = LabelInvalid("name", _("There is a label of this name already."))
    if same_name.exists():
        raise taken
    if (name, colour) == (label.name, label.colour):
        return label
    old_key = label.key
    label.name, label.key, label.colour = name, fold(name), colour
    try:
        with transaction.atomic():
            label.save(update_fields=["name", "key", "colour"])
    except IntegrityError as error:  # somebody else took the name just now
        raise taken from error
    if label.key != old_key:
        _rename_in_views(label, old_key)
    _tell(principal, label, "label.changed")
    announce(_mailboxes_with(label))
    return label


@transaction.atomic
def delete_label(principal: Principal, label: Label) -> int:
    """Take a label from every conversation, for good; from how many. Raises AdminsOnly."""
    _demand_admin(principal)
    mailboxes = _mailboxes_with(label)
    _tell(principal, label, "label.deleted")
    count, _by_model = ConversationLabel.objects.filter(label=label).delete()
    label.delete()
    announce(mailboxes)
    return count


def _rename_in_views(label: Label, old_key: str) -> None:
    """In everybody's. Raises LabelInvalid where a search would become longer than one may be."""
    views = SavedView.objects.filter(organisation=label.organisation_id).select_for_update(no_key=True)
    changed = []
    for view in views.filter(Q(query__icontains="label:") | Q(query__icontains="tag:")):
        query = with_label_renamed(view.query, old_key, label.as_value)
        if query == view.query:
            continue
        if len(query) > MAX_QUERY_CHARS:
            raise LabelInvalid(
                "name", _("A saved view asks for this label, and has no room for a name so long.")
            )
        view.query = query
        changed.append(view)
    SavedView.objects.bulk_update(changed, ["query"])


def _demand_admin(principal: Principal) -> None:
    if not principal.is_admin:
        raise AdminsOnly(_("Only an admin can change or delete a label: it is everybody’s."))


def _name(text: str) -> str:
    name = clean_line(text).strip()
    # Folding takes some signs apart into many.
    if not name or len(name) > MAX_LABEL_CHARS or len(fold(name)) > MAX_KEY_CHARS:
        raise LabelInvalid("name", _("A label has a name of 1 to 60 characters."))
    if '"' in name:
        raise LabelInvalid("name", _("Leave out the quotation mark: searches put a name between two."))
    return name


def _colour(colour: str) -> str:
    if colour and colour not in LabelColour.values:
        raise LabelInvalid("colour", _("That is none of the colours."))
    return colour


def _mailboxes_with(label: Label) -> set[uuid.UUID]:
    rows = ConversationLabel.objects.filter(label=label).order_by()
    return set(rows.values_list("mailbox_id", flat=True).distinct())


def _tell(principal: Principal, label: Label, kind: str) -> None:
    publish(label.organisation_id, kind, actor=principal.actor, label=str(label.pk))


def put_label(mailbox: Mailbox, thread_ids: Collection[uuid.UUID], label: Label) -> list[uuid.UUID]:
    """Put a label on conversations of the mailbox, in the caller's transaction; those that did not have it."""
    has_it = ConversationLabel.objects.filter(mailbox=mailbox, label=label, thread__in=thread_ids)
    without = sorted(set(thread_ids) - set(has_it.values_list("thread_id", flat=True)))
    ConversationLabel.objects.bulk_create(
        [
            ConversationLabel(
                organisation_id=mailbox.organisation_id, mailbox=mailbox, thread_id=thread_id, label=label
            )
            for thread_id in without
        ],
        ignore_conflicts=True,
    )
    announce([mailbox.pk])
    return without


def take_label(mailbox: Mailbox, thread_ids: Collection[uuid.UUID], label: Label) -> list[uuid.UUID]:
    """Take it away from conversations, in the caller's transaction; from which."""
    rows = ConversationLabel.objects.filter(mailbox=mailbox, label=label, thread__in=thread_ids)
    had_it = list(rows.values_list("thread_id", flat=True))
    rows.delete()
    announce([mailbox.pk])
    return had_it


def labels_by_thread(mailbox: Mailbox, thread_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[Label]]:
    """The labels of some conversations, by name, in one query."""
    found: dict[uuid.UUID, list[Label]] = defaultdict(list)
    rows = ConversationLabel.objects.filter(mailbox=mailbox, thread__in=thread_ids).select_related("label")
    for row in rows.order_by("label__key"):
        found[row.thread_id].append(row.label)
    return found
